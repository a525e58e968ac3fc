package redisstore

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// usedMemory returns what Redis says it has taken.
func usedMemory(t *testing.T, r *redistest.Redis) float64 {
	t.Helper()
	for line := range strings.Lines(say(t, r, "INFO", "memory")) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			bytes, err := strconv.ParseFloat(n, 64)
			if err != nil {
				t.Fatal(err)
			}
			return bytes
		}
	}
	t.Fatal("no used_memory")
	return 0
}

// TestRealBytesPerSession is what a session takes in Redis: with LB_FULL=1 of a million.
func TestRealBytesPerSession(t *testing.T) {
	sessions := 10_000
	if os.Getenv("LB_FULL") == "1" {
		sessions = 1_000_000
	}
	r := redistest.Start(t)
	s := open(t, r, patient)
	before, began := usedMemory(t, r), time.Now()
	var wg sync.WaitGroup
	const writers = 100
	for w := range writers {
		wg.Go(func() {
			for i := w; i < sessions; i += writers {
				backend := fmt.Sprintf("http://10.0.0.%d:8080", i%100)
				if _, err := s.Bind(t.Context(), fmt.Sprintf("%022d", i), "", backend); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	per := (usedMemory(t, r) - before) / float64(sessions)
	stats := s.Stats()
	t.Logf("%d sessions: %.0f bytes each in Redis, bound at %.0f a second; %d known here in %d bytes",
		sessions, per, float64(sessions)/took.Seconds(), stats.Sessions, stats.Bytes)
	if per > 300 {
		t.Errorf("%.0f bytes per session in Redis", per)
	}
	if n := say(t, r, "DBSIZE"); n != fmt.Sprint(sessions) {
		t.Errorf("Redis has %s", n)
	}
}
