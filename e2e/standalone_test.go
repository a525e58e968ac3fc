package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// answer is what a client got.
type answer struct {
	status  int
	backend string
	body    string
	header  http.Header
}

func ask(t *testing.T, c *http.Client, url string) answer {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("X-Backend"), string(body), resp.Header}
}

func stranger() *http.Client { return &http.Client{} }

func browserWithCookies(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// TestDemo: the command of the README, as it stands there.
func TestDemo(t *testing.T) {
	p := start(t)
	const base = "http://localhost:8080"
	shares := map[string]int{}
	for range 60 {
		shares[ask(t, stranger(), base+"/lb").backend]++
	}
	if want := map[string]int{"http://localhost:8081": 30, "http://localhost:8082": 20, "http://localhost:8083": 10}; !maps.Equal(shares, want) {
		t.Errorf("60 requests went %v", shares)
	}
	for path, want := range map[string]struct {
		status int
		kind   string
		text   string
	}{
		"/":                {200, "text/html", "http://localhost:8081"},
		"/lb/any/path?q=1": {200, "application/json", `"path":"/any/path"`},
		"/lb/status/418":   {418, "", ""},
		"/lb/stream/3":     {200, "text/event-stream", "data: 2"},
		"/lb/delay/5":      {200, "text/plain", "waited 5 ms"},
		"/metrics":         {200, "application/json", `"weight":3`},
		"/prometheus":      {200, "text/plain", "# TYPE loadbalancer_requests_total counter"},
		"/health":          {200, "text/plain", "ok"},
		"/ready":           {200, "text/plain", "ready"},
		"/nothing":         {404, "text/plain", ""},
	} {
		got := ask(t, stranger(), base+path)
		if got.status != want.status || !strings.HasPrefix(got.header.Get("Content-Type"), want.kind) || !strings.Contains(got.body, want.text) {
			t.Errorf("%s: %d %s: %.200s", path, got.status, got.header.Get("Content-Type"), got.body)
		}
	}
	client := browserWithCookies(t)
	home := ask(t, client, base+"/lb").backend
	for range 100 {
		if got := ask(t, client, base+"/lb").backend; got != home {
			t.Fatalf("a session of %s was served by %s", home, got)
		}
	}
	echo(t, base+"/lb/echo")
	finishesWhatItHas(t, p, base)
	checkOpening(t, p.log())
}

// echo talks over a WebSocket and over a body.
func echo(t *testing.T, url string) {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(t.Context()); string(got) != "hello" {
		t.Errorf("over a WebSocket %q came back: %v", got, err)
	}
	resp, err := http.Post(url, "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); string(got) != "hello" {
		t.Errorf("as a body %q came back", got)
	}
}

// finishesWhatItHas stops the demo while a request and a stream of the dashboard are under way.
func finishesWhatItHas(t *testing.T, p *process, base string) {
	t.Helper()
	stream, err := http.Get(base + "/metrics/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	var slow answer
	var wg sync.WaitGroup
	wg.Go(func() { slow = ask(t, stranger(), base+"/lb/delay/700") })
	eventually(t, "the slow request is under way", func() bool { return report(t, base).Active > 0 })
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.log())
	}
	wg.Wait()
	if slow.status != 200 || !strings.Contains(slow.body, "waited 700 ms") {
		t.Errorf("the request under way got %+v", slow)
	}
}

// jsonReport is what /metrics says, as far as these tests look.
type jsonReport struct {
	Active   int
	Backends []struct {
		ID, State, Breaker string
		Weight             int
	}
}

func report(t *testing.T, base string) (r jsonReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(ask(t, stranger(), base+"/metrics").body), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// checkOpening: the first lines, in this order and wording, each after the time.
func checkOpening(t *testing.T, log string) {
	t.Helper()
	stamp := regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (.*)$`)
	var got []string
	for line := range strings.Lines(log) {
		parts := stamp.FindStringSubmatch(strings.TrimSpace(line))
		if parts == nil {
			t.Errorf("a line without a time: %q", line)
		} else if len(got) < 7 && strings.HasPrefix(parts[1], "[INFO]") {
			got = append(got, parts[1])
		}
	}
	want := []string{
		"[INFO] Starting Go Load Balancer Application", "[INFO] Initializing backend servers...",
		"[INFO] Added backend: http://localhost:8081 (weight: 3)", "[INFO] Added backend: http://localhost:8082 (weight: 2)",
		"[INFO] Added backend: http://localhost:8083 (weight: 1)",
		"[INFO] Load balancer starting on :8080", "[INFO] Load balancer is ready to accept connections",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log begins\n%s", strings.Join(got, "\n"))
	}
}

// TestAutoscaling: load adds a backend, quiet takes it away again, and everybody is told.
func TestAutoscaling(t *testing.T) {
	p := start(t, "-autoscale-interval", "2s")
	const base = "http://localhost:8080"
	for range 25 {
		ask(t, stranger(), base+"/lb")
	}
	eventually(t, "a fourth backend is there", func() bool { return len(report(t, base).Backends) == 4 })
	p.await("Autoscale: up")
	eventually(t, "it is counted", func() bool {
		return strings.Contains(ask(t, stranger(), base+"/prometheus").body, `loadbalancer_autoscale_events_total{kind="up"} 1`)
	})
	if page := ask(t, stranger(), base+"/").body; strings.Count(page, `data-backend="http`) != 4 {
		t.Errorf("the dashboard has %d backends", strings.Count(page, `data-backend="http`))
	}
	eventually(t, "it is gone again", func() bool { return len(report(t, base).Backends) == 3 })
	p.await("Autoscale: down")
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestKillingABackend: its session moves once, and no request fails.
func TestKillingABackend(t *testing.T) {
	backends := startBackends(t, 3)
	p := startBalancer(t, append(flags(backends), "-health-interval", "1s", "-rate-limit", "0")...)
	url := "http://" + p.addr + "/lb"
	client := browserWithCookies(t)
	home := ask(t, client, url).backend
	for range 100 {
		if got := ask(t, client, url); got.backend != home || got.status != 200 {
			t.Fatalf("a session of %s got %+v", home, got)
		}
	}
	byAddr(t, backends, home).kill()
	served := []string{home}
	for range 300 {
		got := ask(t, client, url)
		if got.status != 200 {
			t.Fatalf("after the kill: %+v", got)
		}
		if got.backend != served[len(served)-1] {
			served = append(served, got.backend)
		}
	}
	if len(served) != 2 {
		t.Errorf("the session was served by %v", served)
	}
	if n := strings.Count(p.log(), "Session moved"); n != 1 {
		t.Errorf("it moved %d times:\n%s", n, p.log())
	}
	for range 50 {
		if got := ask(t, stranger(), url); got.status != 200 || got.backend == home {
			t.Fatalf("a stranger got %+v", got)
		}
	}
}

func byAddr(t *testing.T, list []*process, addr string) *process {
	t.Helper()
	for _, p := range list {
		if p.addr == addr {
			return p
		}
	}
	t.Fatalf("nobody is at %q", addr)
	return nil
}

// TestSharedRedis: three balancers agree on a session, also when its backend dies, and go on when
// Redis does.
func TestSharedRedis(t *testing.T) {
	backends, redis := startBackends(t, 3), redistest.Start(t)
	args := append(flags(backends), "-redis", redis.Address(), "-session-key", strings.Repeat("k", 32), "-rate-limit", "0", "-health-interval", "1s")
	var urls []string
	for range 3 {
		urls = append(urls, "http://"+startBalancer(t, args...).addr+"/lb")
	}
	client := browserWithCookies(t) // one jar: cookies do not look at ports
	home := ask(t, client, urls[0]).backend
	agree := func(what, not string) (on string) {
		t.Helper()
		seen := map[string]int{}
		for i := range 90 {
			got := ask(t, client, urls[i%3])
			if got.status != 200 {
				t.Fatalf("%s: %+v", what, got)
			}
			seen[got.backend]++
			on = got.backend
		}
		if len(seen) != 1 || on == not {
			t.Errorf("%s: served by %v", what, seen)
		}
		return on
	}
	if got := agree("at first", ""); got != home {
		t.Errorf("the session began on %s and is served by %s", home, got)
	}
	byAddr(t, backends, home).kill()
	next := agree("after its backend was killed", home)
	redis.Kill()
	if got := agree("after Redis was killed", home); got != next {
		t.Errorf("without Redis the session went from %s to %s", next, got)
	}
	for range 100 {
		if got := ask(t, stranger(), urls[0]); got.status != 200 {
			t.Fatalf("a stranger without Redis got %+v", got)
		}
	}
}

// TestDashboardOfTheDemo: the page sees three backends, one is killed, and it turns red.
func TestDashboardOfTheDemo(t *testing.T) {
	backends := startBackends(t, 3)
	p := startBalancer(t, append(flags(backends), "-health-interval", "500ms")...)
	b := openBrowser(t)
	b.screen(1360, 860, "light")
	b.do(chromedp.Navigate("http://" + p.addr + "/"))
	b.await(`document.querySelectorAll("#backends tr").length === 3`)
	b.await(`document.querySelector("#link").dataset.link === "live"`)
	before := colour(b, "b2")
	backends[1].kill()
	b.await(row("b2") + `.dataset.state.includes("down")`)
	b.await(row("b2") + `.getAnimations().length === 0`)
	if after := colour(b, "b2"); after[0] <= after[1]+5 || after[0] <= after[2]+5 || fmt.Sprint(before) == fmt.Sprint(after) {
		t.Errorf("its row went from %v to %v, not red", before, after)
	}
	b.mustBeQuiet()
}

// TestPicture takes the picture of the README: LB_SCREENSHOT=../docs/dashboard.png go test -run Picture
func TestPicture(t *testing.T) {
	if !pictures() {
		t.Skip("LB_SCREENSHOT names no file")
	}
	backends := startBackends(t, 4)
	p := startBalancer(t, append(flags(backends), "-rate-limit", "0", "-health-interval", "1s")...)
	b := openBrowser(t)
	b.screen(1360, 900, "light")
	b.do(chromedp.Navigate("http://" + p.addr + "/"))
	began, tick := time.Now(), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < 45*time.Second {
		<-tick.C
		if time.Since(began) > 38*time.Second {
			backends[2].kill()
		}
		ask(t, stranger(), "http://"+p.addr+"/lb")
	}
	b.picture("demo")
}

// TestAdminAddress: with an address of its own, nothing of it is left on the clients' side.
func TestAdminAddress(t *testing.T) {
	backends, admin := startBackends(t, 1), freeAddr(t)
	p := startBalancer(t, append(flags(backends), "-mount", "/", "-admin", admin)...)
	for _, path := range []string{"/", "/metrics", "/prometheus", "/health"} {
		if got := ask(t, stranger(), "http://"+p.addr+path); got.backend == "" || got.body != backends[0].addr {
			t.Errorf("%s on the clients' side: %+v", path, got)
		}
		if got := ask(t, stranger(), "http://"+admin+path); got.status != 200 || got.backend != "" {
			t.Errorf("%s on the operators' side: %d", path, got.status)
		}
	}
	backends[0].kill()
	if got := ask(t, stranger(), "http://"+p.addr+"/"); got.status != 502 || strings.Contains(fmt.Sprint(got), backends[0].addr) {
		t.Errorf("without a backend: %+v", got)
	}
	if got := ask(t, stranger(), "http://"+admin+"/ready"); got.status != 200 {
		t.Errorf("not ready although the backend could be tried: %+v", got)
	}
}
