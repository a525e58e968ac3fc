package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/go-loadbalancer/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func TestBackend(t *testing.T) {
	const url = "http://localhost:8081"
	h := Backend(url)
	for path, want := range map[string]int{
		"/": 200, "/any/path": 200, "/health": 200, "/delay/1": 200, "/status/418": 418, "/stream/3": 200,
		"/status/99": 400, "/status/600": 400, "/status/x": 400, "/delay/60001": 400, "/delay/-1": 400, "/stream/10001": 400,
	} {
		if w := get(h, path); w.Code != want || w.Header().Get("X-Backend") != url {
			t.Errorf("%s: %d by %q", path, w.Code, w.Header().Get("X-Backend"))
		}
	}
	if body := get(h, "/any/path").Body.String(); strings.Count(body, url) != 1 || !json.Valid([]byte(body)) {
		t.Errorf("it names itself in %s", body)
	}
	if body := get(h, "/stream/3").Body.String(); body != "data: 0\n\ndata: 1\n\ndata: 2\n\n" {
		t.Errorf("streamed %q", body)
	}
}

func TestEcho(t *testing.T) {
	server := httptest.NewServer(Backend("x"))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	large := strings.Repeat("body", 1<<16)
	resp, err := http.Post(server.URL+"/echo", "text/plain", strings.NewReader(large))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != large {
		t.Errorf("%d bytes came back of %d: %v", len(body), len(large), err)
	}
	resp.Body.Close()
	conn, _, err := websocket.Dial(t.Context(), server.URL+"/echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, message := range []string{"one", "two"} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(t.Context()); string(got) != message {
			t.Errorf("%q came back: %v", got, err)
		}
	}
}

func TestMount(t *testing.T) {
	say := func(what string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, what+r.URL.EscapedPath()) })
	}
	for _, c := range []struct{ prefix, path, want string }{
		{"/lb", "/lb", "below/"}, {"/lb", "/lb/", "below/"}, {"/lb", "/lb/x/y", "below/x/y"}, {"/lb", "/lbx", "beside/lbx"},
		{"/lb", "/", "beside/"}, {"/lb/", "/lb/x", "below/x"}, {"/lb", "/lb/a%2Fb", "below/a%2Fb"}, {"/lb", "/l%62/x", "beside/l%62/x"},
		{"/lb", "/lb/../x", "below/../x"}, {"/", "/x", "below/x"}, {"/a/b", "/a/b/c", "below/c"}, {"/a/b", "/a/c", "beside/a/c"},
	} {
		if got := get(Mount(c.prefix, say("below"), say("beside")), c.path).Body.String(); got != c.want {
			t.Errorf("%s below %s: %s, want %s", c.path, c.prefix, got, c.want)
		}
	}
}

// A line of the log is one line, whatever is in it.
func TestLogLines(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, flush := NewLogger(&out, format, slog.LevelInfo)
		log.Debug("not shown")
		log.Info("Added backend: http://localhost:8081 (weight: 3)")
		log.With("a", 1).Warn("odd", "b", "two words", "c", "x\ny\x1b[31m", "d", "", "e", "\u2028", "f", `q"q`)
		flush()
		flush()
		log.Error("after the end") // lost, not a panic
		if n := strings.Count(out.String(), "\n"); n != 2 || strings.ContainsAny(out.String(), "\x1b\u2028") {
			t.Errorf("%s: %d lines: %q", format, n, out.String())
		}
		if want := `(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[INFO\] Added backend: http://localhost:8081 \(weight: 3\)$`; format == "text" && !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("got %q", out.String())
		}
	}
}

// Whoever logs does not wait for a writer that is stuck.
func TestLogDoesNotWait(t *testing.T) {
	stuck := make(chan bool)
	log, flush := NewLogger(writer(func(p []byte) (int, error) { <-stuck; return len(p), nil }), "text", slog.LevelInfo)
	for range 10_000 {
		log.Info("line")
	}
	close(stuck)
	flush()
}

type writer func([]byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }

func TestLogObserver(t *testing.T) {
	var out bytes.Buffer
	log, flush := NewLogger(&out, "text", slog.LevelDebug)
	o := LogObserver(log, "weighted")
	b := lb.Must(lb.NewBackend(lb.Spec{ID: "one", URL: "http://one"}, nil))
	o.AttemptStart(context.Background(), lb.AttemptInfo{Backend: b, Session: "secret"}, nil)
	o.Attempt(lb.Result{Backend: b, Outcome: lb.Success})
	o.Attempt(lb.Result{Backend: b, Outcome: lb.Failure, Reason: "dial", Attempt: 1, Err: io.EOF})
	o.Attempt(lb.Result{Backend: b, Outcome: lb.Failure, Reason: "status", Status: 503})
	o.Request(lb.Summary{Session: "secret"})
	o.Request(lb.Summary{Status: 200, Explanation: &lb.Explanation{Backends: []lb.Standing{{Backend: b, Why: "down"}}}})
	o.Request(lb.Summary{Bound: "one"})
	o.Request(lb.Summary{Session: "secret", From: "one", Bound: "two"})
	o.Change(lb.Change{Backend: b, Before: 0, After: lb.Down, Cause: "why so"})
	o.Change(lb.Change{Backend: b, WeightBefore: 1, WeightAfter: 3})
	o.Change(lb.Change{Backend: b, BreakerAfter: lb.Open})
	o.Change(lb.Change{Backend: b, Joined: true})
	o.Change(lb.Change{Backend: b, Removed: true})
	flush()
	stamp := regexp.MustCompile(`(?m)^\S+ \S+ `)
	want := `[DEBUG] Picked backend backend=one policy=weighted session=2bb80d537b1d attempt=0
[WARN] Attempt failed backend=one kind=dial attempt=1 error=EOF
[WARN] Attempt failed backend=one kind=status attempt=0 status=503
[DEBUG] Explained status=200 why="left out: one down"
[INFO] Session bound session=new backend=one
[INFO] Session moved session=2bb80d537b1d from=one backend=two
[INFO] Backend changed backend=one from=fit to=down cause="why so"
[INFO] Weight changed backend=one from=1 to=3
[INFO] Breaker changed backend=one from=closed to=open
[DEBUG] Backend joined backend=one state=fit
[INFO] Backend removed backend=one
`
	if got := stamp.ReplaceAllString(out.String(), ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A backend flag is a spec that a pool takes, or an error that names what is wrong.
func FuzzParseBackend(f *testing.F) {
	for _, s := range []string{"http://h:1", "http://h,weight=3,region=eu,id=x", "http://h,weight=0", ",", "http://h,id=", "unix:///s,weight=2", "http://h,weight=9999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := ParseBackend(s)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		if _, err := lb.NewPool(spec); err != nil {
			t.Errorf("%q became %+v, which no pool takes: %v", s, spec, err)
		}
	})
}

func TestReadSecret(t *testing.T) {
	long := strings.Repeat("k", 32)
	for _, c := range []struct{ secret, env, want string }{{"", "", ""}, {long, "", long}, {"", long + "e", long + "e"}, {long, long + "e", long}} {
		if got, err := ReadSecret(c.secret, "", c.env); string(got) != c.want || err != nil {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}
