// Package demo has what the programs under examples share: backends to play with, and a log
// that nobody waits for.
package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/loadreport"
)

// slots is how many requests a demo backend says that it can serve at a time.
const slots = 100

// Backend answers any path with JSON that names url once, and has a few paths to play with. It
// says how loaded it is.
func Backend(url string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"backend": url, "method": r.Method, "path": r.URL.Path})
	})
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/delay/{ms}", func(w http.ResponseWriter, r *http.Request) {
		if ms, ok := number(w, r, "ms", 0, 60_000); ok {
			select {
			case <-time.NewTimer(time.Duration(ms) * time.Millisecond).C:
				fmt.Fprintf(w, "waited %d ms\n", ms)
			case <-r.Context().Done():
			}
		}
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		if code, ok := number(w, r, "code", 200, 599); ok {
			w.WriteHeader(code)
		}
	})
	mux.HandleFunc("/stream/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, ok := number(w, r, "n", 0, 10_000)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; i < n && ok && r.Context().Err() == nil; i++ {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/echo", echo)
	return lb.Must(loadreport.New(loadreport.Config{Capacity: slots})).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend", url)
		mux.ServeHTTP(w, r)
	}))
}

// number reads a number from the path, or answers 400 if it is none between least and most.
func number(w http.ResponseWriter, r *http.Request, name string, least, most int) (int, bool) {
	n, err := strconv.Atoi(r.PathValue(name))
	if err != nil || n < least || n > most {
		http.Error(w, fmt.Sprintf("%s is a number from %d to %d", name, least, most), http.StatusBadRequest)
		return 0, false
	}
	return n, true
}

// echo gives back what comes: the messages of a WebSocket, or a body.
func echo(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Content-Type", "application/octet-stream")
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any page may play with it
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// Start listens on a loopback port and serves a Backend there until stop is called.
func Start(port int) (url string, stop func(), err error) {
	url = fmt.Sprintf("http://localhost:%d", port)
	l, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", port))
	if err != nil {
		return "", nil, fmt.Errorf("demo backend %s cannot start: %w", url, err)
	}
	server := &http.Server{Handler: Backend(url), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	return url, func() { _ = server.Close(); <-done }, nil
}
