package health

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// A backend that is half dead: with 5 % errors where the others have 0.1 %, or ten times slower. At 100
// requests a second over five it is ejected within ten seconds if it is an outlier, and gets a tenth
// of the traffic at most from a policy that looks at loads. Nobody else is ejected.
func TestHalfDead(t *testing.T) {
	for name, policy := range map[string]lb.Policy{"rotate": rotate, "power of two": picker.PowerOfTwo, "peak EWMA": picker.PeakEWMA, "adaptive": picker.Adaptive} {
		for kind, sick := range map[string]func(*service){
			"healthy": func(*service) {},
			"errors":  func(s *service) { s.errors = 0.05 },
			"failing": func(s *service) { s.failing = 0.05 },
			"slow":    func(s *service) { s.latency *= 10 },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var ejector *Ejector
					w := newWorld(t, 5, policy, lb.Observer{Attempt: func(r lb.Result) { ejector.attempt(r) }})
					c := &changes{DynamicPool: w.pool}
					ejector = lb.Must(NewEjector(EjectorConfig{Pool: c}))
					suspector := lb.Must(NewSuspector(SuspectorConfig{Pool: c}))
					stopEjector, stopSuspector := run(t, ejector), run(t, suspector)
					for i := range 5 {
						w.change(i, func(s *service) { s.errors = 0.001 })
					}
					w.send(100, 15*time.Second, "/")
					if list, _ := c.told(); len(list) != 0 {
						t.Errorf("in peace: %q", list)
					}
					w.change(2, sick)
					start := time.Now()
					w.send(100, 10*time.Second, "/")
					list, when := c.told()
					before := w.of(2).served.Load()
					w.send(100, 10*time.Second, "/")
					share := float64(w.of(2).served.Load()-before) / 1000
					for i, s := range list {
						t.Logf("after %v %s", when[i].Sub(start), s)
						if !strings.HasPrefix(s, "b02 ") {
							t.Errorf("of another: %s", s)
						}
					}
					t.Logf("share in the next ten seconds: %.3f", share)
					switch {
					case kind == "healthy":
						if len(list) != 0 {
							t.Errorf("%q", list)
						}
					case kind == "slow" && (name == "rotate" || name == "power of two"):
					case share > 0.1:
						t.Errorf("%s, %s: its share is %.3f", name, kind, share)
					}
					w.flying.Wait()
					stopEjector()
					stopSuspector()
				})
			})
		}
	}
}
