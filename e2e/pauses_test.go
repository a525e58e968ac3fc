package e2e

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// equals starts n backends that are alike, and take 20 ms for an answer.
func equals(t *testing.T, n int) (args []string, served []*atomic.Int64) {
	t.Helper()
	for i := range n {
		count := new(atomic.Int64)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/health" {
				count.Add(1)
			}
			timer := time.NewTimer(20 * time.Millisecond)
			defer timer.Stop()
			<-timer.C
			_, _ = io.WriteString(w, "ok")
		}))
		t.Cleanup(s.Close)
		args, served = append(args, "-backend", fmt.Sprintf("%s,id=b%d", s.URL, i)), append(served, count)
	}
	return args, served
}

// interrupt stops the process for 200 ms in each second until over is closed. It returns how much of
// the traffic was shifted within one of these seconds, on average.
func (p *process) interrupt(over <-chan struct{}, served []*atomic.Int64) (mean float64) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := make([]int64, len(served))
	for n := 0.0; ; n++ {
		select {
		case <-over:
			return mean / n
		case <-tick.C:
		}
		mean += shifted(served, before)
		for i := range served {
			before[i] = served[i].Load()
		}
		_ = p.cmd.Process.Signal(syscall.SIGSTOP)
		wake := time.NewTimer(200 * time.Millisecond)
		<-wake.C
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
	}
}

// load sends n requests, 1000 a second, whether they are answered or not, and returns how many were
// not answered well.
func load(t *testing.T, url string, n int) (failed int64) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}, Timeout: patience}
	defer client.CloseIdleConnections()
	var bad atomic.Int64
	var wg sync.WaitGroup
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range n / 10 {
		<-tick.C
		for range 10 {
			wg.Go(func() {
				resp, err := client.Get(url)
				if err != nil {
					bad.Add(1)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.Body.Close(); resp.StatusCode != http.StatusOK {
					bad.Add(1)
				}
			})
		}
	}
	wg.Wait()
	return bad.Load()
}

// shifted is how much of the traffic since before went elsewhere than in equal shares.
func shifted(served []*atomic.Int64, before []int64) (share float64) {
	total := 0.0
	for i, n := range served {
		total += float64(n.Load() - before[i])
	}
	for i, n := range served {
		share += math.Abs(float64(n.Load()-before[i])/total-1/float64(len(served))) / 2
	}
	return share
}

// A balancer that is stopped for 200 ms in each second holds that against nobody: four equal backends
// get equal shares, none is taken for bad, and no request fails. LB_TEST_LONG=1 sends 20,000 requests,
// with and without -pauses.
func TestPausesOfTheBalancer(t *testing.T) {
	n, forms := 4000, []string{"-pauses"}
	if os.Getenv("LB_TEST_LONG") == "1" {
		n, forms = 20_000, []string{"-pauses", "-pauses=false"}
	}
	for _, policy := range []string{"peak-ewma", "adaptive"} {
		for _, form := range forms {
			t.Run(policy+" "+form, func(t *testing.T) {
				args, served := equals(t, 4)
				p := startBalancer(t, append(args, "-policy", policy, "-sticky=false", "-rate-limit", "0", "-health-interval", "1s", form)...)
				over := make(chan struct{})
				var wg sync.WaitGroup
				second := 0.0
				wg.Go(func() { second = p.interrupt(over, served) })
				failed := load(t, "http://"+p.addr+"/lb", n)
				close(over)
				wg.Wait()
				share := shifted(served, make([]int64, len(served)))
				t.Logf("%.2f%% of %d requests were shifted, %.2f%% within a second, %d failed", 100*share, n, 100*second, failed)
				if form != "-pauses" {
					return
				}
				if share >= 0.03 || failed > 0 {
					t.Errorf("%.1f%% of the traffic was shifted and %d requests failed, want less than 3%% and none", 100*share, failed)
				}
				if log := strings.ToLower(p.log()); strings.Contains(log, "ejected") || strings.Contains(log, "down") || strings.Contains(log, "open") {
					t.Errorf("somebody was blamed:\n%s", p.log())
				}
			})
		}
	}
}
