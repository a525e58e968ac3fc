package lbtest_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// fuse is a breaker that is right, but for the defects it is given: five failures in a row open it,
// a good trial closes it, and two may run at a time.
type fuse struct {
	mu      sync.Mutex
	defect  string
	state   lb.BreakerState
	epoch   lb.Permit
	failed  int
	running int
	next    time.Time
	leaked  []byte
}

func fuses(defect string) func() lb.Breaker {
	return func() lb.Breaker { return &fuse{defect: defect} }
}

func (f *fuse) has(defect string) bool { return f.defect == defect }

func (f *fuse) moveLocked(s lb.BreakerState) {
	f.state, f.epoch, f.failed, f.running = s, f.epoch+1, 0, 0
	if s == lb.Open {
		f.next = time.Now().Add(time.Second)
		if f.has("never comes back") {
			f.next = time.Now().Add(1000 * time.Hour)
		}
	}
}

func (f *fuse) Allow() (lb.Permit, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.has("allocates") {
		f.leaked = make([]byte, 8)
	}
	if f.state == lb.Open && !time.Now().Before(f.next) && !f.has("waits for ever") {
		f.moveLocked(lb.HalfOpen)
	}
	switch {
	case f.state == lb.Open:
		return f.epoch, f.has("lets pass while open")
	case f.state == lb.HalfOpen && f.running >= 2 && !f.has("lets all try"):
		return 0, false
	case f.state == lb.HalfOpen:
		f.running++
	}
	return f.epoch, true
}

func (f *fuse) Done(p lb.Permit, o lb.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p != f.epoch && !f.has("believes old permits") {
		if f.has("old results make places") && f.state == lb.HalfOpen {
			f.running--
		}
		return
	}
	if f.state == lb.HalfOpen && !(o == lb.Neutral && f.has("keeps neutral places")) {
		f.running--
	}
	switch {
	case o == lb.Success || o == lb.Neutral && f.has("closes by neutral"):
		f.failed = 0
		if f.state == lb.HalfOpen {
			f.moveLocked(lb.Closed)
		}
	case o == lb.Failure || f.has("opens by neutral"):
		if f.has("ignores bad trials") && f.state == lb.HalfOpen {
			return
		}
		f.failed++
		if f.failed >= 5 && !f.has("never opens") || f.state == lb.HalfOpen {
			f.moveLocked(lb.Open)
		}
	}
}

func (f *fuse) Status() (lb.BreakerState, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.has("Status moves it") && f.state == lb.Open && !time.Now().Before(f.next) {
		f.moveLocked(lb.HalfOpen)
		f.running = 2
	}
	if f.has("says no time") || f.state != lb.Open {
		return f.state, time.Time{}
	}
	return f.state, f.next
}

func TestBreakerMutants(t *testing.T) {
	for defect, complaint := range map[string]string{
		"":                        "",
		"never opens":             "it is closed at first, and opens: after 2000 failures in a row it is closed",
		"lets pass while open":    "it is closed at first, and opens: open, it lets 3 of 3 requests pass",
		"never comes back":        "it comes back: it refuses the only trial",
		"waits for ever":          "it comes back: it refuses the only trial",
		"lets all try":            "trials are bounded: of 5000 requests that come when a trial is due it lets 5000 pass, want 1 to 2",
		"ignores bad trials":      "a bad trial opens it again",
		"opens by neutral":        "neutral results prove nothing: it opened after neutral results",
		"closes by neutral":       "a neutral trial leaves its place: after neutral trials it is closed",
		"keeps neutral places":    "a neutral trial leaves its place: after 2 trials that ended neutral it refuses",
		"believes old permits":    "what is older than the state does not open it",
		"old results make places": "make places for",
		"Status moves it":         "Status has no side effects",
		"says no time":            "does not say when the next trial is",
		"allocates":               "it does not allocate: 1 allocations in Allow and Status",
	} {
		t.Run(defect, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := lbtest.TestBreaker(fuses(defect), lbtest.BreakerTraits{Trials: 2})
				if defect == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				complains(t, err, complaint)
			})
		})
	}
}
