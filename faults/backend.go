package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// counts is what a backend has seen since it was started, health checks apart.
type counts struct {
	Requests int64 // begun, however they ended
	Refused  int64 // for want of capacity
	Peak     int64 // at once
}

// worker is the handler of a backend process. What it does can be changed while it runs, by lines
// like "work=50ms errors=0.05 capacity=50 reset=true".
type worker struct {
	id     string
	ledger *os.File // of what was done, a line each: ID, "came ID" or "gone ID NANOSECONDS"

	work     atomic.Int64  // how long a request takes, in nanoseconds
	errors   atomic.Uint64 // of a million, that get a 500
	capacity atomic.Int64  // requests at once, 503 above; 0 means no bound
	reset    atomic.Bool   // every request gets a reset, health checks too

	requests, refused, active, peak atomic.Int64
}

// playBackend serves until in ends. words are ADDR ID LEDGER IDLE, the last being how long it
// keeps a connection without requests.
func playBackend(words []string, in io.Reader, out io.Writer) error {
	idle, err := time.ParseDuration(words[3])
	if err != nil {
		return err
	}
	ledger, err := os.OpenFile(words[2], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	w := &worker{id: words[1], ledger: ledger}
	w.work.Store(int64(5 * time.Millisecond))
	listener, err := net.Listen("tcp", words[0])
	if err != nil {
		return err
	}
	server := &http.Server{Handler: w, IdleTimeout: idle, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Fprintln(out, "ready")
	for asked := bufio.NewScanner(in); asked.Scan(); {
		for _, word := range strings.Fields(asked.Text()) {
			if err := w.set(word); err != nil {
				return err
			}
		}
		told := counts{Requests: w.requests.Load(), Refused: w.refused.Load(), Peak: w.peak.Load()}
		if err := json.NewEncoder(out).Encode(told); err != nil {
			return err
		}
	}
	return server.Close()
}

// set changes one thing, written NAME=VALUE. Other words change nothing.
func (w *worker) set(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "work":
		d, err := time.ParseDuration(value)
		w.work.Store(int64(d))
		return err
	case "errors":
		share, err := strconv.ParseFloat(value, 64)
		w.errors.Store(uint64(share * 1e6))
		return err
	case "capacity":
		n, err := strconv.ParseInt(value, 10, 64)
		w.capacity.Store(n)
		return err
	case "reset":
		w.reset.Store(value == "true")
	}
	return nil
}

func (w *worker) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("X-Backend", w.id)
	checked := r.URL.Path == "/health"
	if !checked {
		w.requests.Add(1)
		now := w.active.Add(1)
		defer w.active.Add(-1)
		for peak := w.peak.Load(); now > peak && !w.peak.CompareAndSwap(peak, now); peak = w.peak.Load() {
		}
		if most := w.capacity.Load(); most > 0 && now > most {
			w.refused.Add(1)
			http.Error(rw, "full", http.StatusServiceUnavailable)
			return
		}
	}
	switch {
	case w.reset.Load():
		cut(rw, "")
	case checked:
		fmt.Fprintln(rw, "ok")
	default:
		w.serve(rw, r)
	}
}

// serve notes which leavers came, and which of them left before the answer was whole.
func (w *worker) serve(rw http.ResponseWriter, r *http.Request) {
	left := false
	if id := r.Header.Get("X-Id"); strings.HasPrefix(id, "leaver") {
		fmt.Fprintf(w.ledger, "came %s\n", id)
		defer func() {
			if left || r.Context().Err() != nil {
				fmt.Fprintf(w.ledger, "gone %s %d\n", id, time.Now().UnixNano())
			}
		}()
	}
	switch r.URL.Path {
	case "/wait":
		left = wait(rw, r)
	case "/dribble":
		dribble(rw, r)
	case "/half":
		half(rw, r)
	case "/events":
		events(rw, r)
	case "/tunnel":
		tunnel(rw)
	default:
		w.execute(rw, r)
	}
}

// execute does the usual work. A POST is on record before it begins, and only if its body was whole.
func (w *worker) execute(rw http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(rw, "the body broke off", http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodPost {
		fmt.Fprintf(w.ledger, "%s\n", r.Header.Get("X-Id"))
	}
	time.Sleep(time.Duration(w.work.Load()))
	if rand.Uint64N(1e6) < w.errors.Load() {
		http.Error(rw, "half dead", http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(rw, "done\n")
}
