package redisstore

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redistest"
)

// TestRealRacingAssignments has four stores assign the same sessions at the same time, each to a
// backend of its own: with LB_FULL=1 a million times in all. Nobody may be told differently.
func TestRealRacingAssignments(t *testing.T) {
	sessions := 2_500
	if os.Getenv("LB_FULL") == "1" {
		sessions = 250_000
	}
	const stores, abreast = 4, 16
	r := redistest.Start(t)
	told := make([][]string, stores)
	var wg sync.WaitGroup
	for n := range stores {
		s := open(t, r, patient)
		told[n] = make([]string, sessions)
		for w := range abreast {
			wg.Go(func() {
				for i := w; i < sessions; i += abreast {
					told[n][i] = insist(t, func() (string, error) {
						return s.Bind(t.Context(), fmt.Sprint("s", i), "", fmt.Sprint("b", n))
					})
				}
			})
		}
	}
	wg.Wait()
	won := make(map[string]int)
	for i := range sessions {
		won[told[0][i]]++
		for n := range stores {
			if told[n][i] != told[0][i] {
				t.Fatalf("s%d: told %q and %q", i, told[0][i], told[n][i])
			}
		}
	}
	t.Logf("%d assignments, 0 disagreements; won: %v", stores*sessions, won)
}

// TestRealHangFigures tells how long look-ups wait for a Redis that hangs, at 500 a second, of which
// one in ten is of a session that nobody knows. It is for people: with LB_FULL=1 only.
func TestRealHangFigures(t *testing.T) {
	if os.Getenv("LB_FULL") != "1" {
		t.Skip("figures: LB_FULL=1")
	}
	r := redistest.Start(t)
	s := open(t, r, 0)
	const sessions = 200
	for i := range sessions {
		insist(t, func() (string, error) { return s.Bind(t.Context(), fmt.Sprint("s", i), "", "a") })
	}
	var mu sync.Mutex
	took := make(map[int][]time.Duration) // by second
	lost, n := 0, 0
	var wg sync.WaitGroup
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for now := range tick.C {
		second := int(now.Sub(began) / time.Second)
		if second >= 7 {
			break
		}
		if n++; n == 500 {
			r.Pause()
		} else if n == 2500 {
			r.Resume()
		}
		n := n
		wg.Go(func() {
			session := fmt.Sprint("s", n%sessions)
			if n%10 == 0 {
				session = fmt.Sprint("new", n)
			}
			start := time.Now()
			got, err := s.Lookup(t.Context(), session)
			d := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			took[second] = append(took[second], d)
			if n%10 != 0 && (got != "a" || err != nil) {
				lost++
			}
		})
	}
	wg.Wait()
	for second := range 7 {
		all := slices.Sorted(slices.Values(took[second]))
		t.Logf("second %d: %d look-ups, p50 %v, p99 %v, most %v", second, len(all), all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
	}
	t.Logf("lost: %d; %+v", lost, s.Stats())
	if lost > 0 {
		t.Errorf("%d known sessions were not found", lost)
	}
}
