package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/health"
)

// illness is how a backend fails.
type illness struct {
	name     string
	from, to time.Duration
	share    float64 // of its requests
}

// ejecting shows who is out when, and what that costs.
func ejecting(t *testing.T) page {
	const end = 20 * time.Minute
	p := page{
		title: "Ejection", head: []string{"", "times out", "time out", "failed", "without"},
		summary: "One of five backends fails; the defaults of health.EjectorConfig, but for Jitter, which is off; 100 requests/s, no retries, no checks.",
		foot:    "Failed are tries that did within 20 minutes; without is how many do so when nobody is ejected.",
	}
	out := chart{title: "Who is out", x: "time (min)", y: "", xs: linear(20, ""), ys: axis{high: 6}}
	lost := chart{title: "Requests that failed", x: "time (min)", y: "in all", xs: linear(20, "")}
	most := 1.0
	for i, ill := range []illness{
		{"fails for good", 10 * time.Second, end, 1}, {"fails for a minute", 10 * time.Second, 70 * time.Second, 1},
		{"one in five fails", 10 * time.Second, end, 0.2},
	} {
		state, sum := line{name: ill.name, step: true}, line{name: ill.name, step: true}
		times, long := 0, time.Duration(0)
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 5, lb.Config{Policy: turns, Retries: -1})
			w.status = ill.status(w)
			w.eject(func() {
				for w.now() < end {
					level := float64(2*i) + 0.5
					if w.pool.Snapshot().Find("b1").Facts().Has(lb.Ejected) {
						level++
						if long += time.Second; state.at[len(state.at)-1].y < level {
							times++
						}
					}
					state.at = append(state.at, point{w.now().Minutes(), level})
					sum.at = append(sum.at, point{w.now().Minutes(), float64(w.failed)})
					w.send(100, time.Second)
				}
			})
			most = max(most, float64(w.failed))
			p.rows = append(p.rows, []string{ill.name, fmt.Sprint(times), long.String(), fmt.Sprint(w.failed), fmt.Sprintf("%.0f", 20*ill.share*(ill.to-ill.from).Seconds())})
		})
		out.ys.ticks = append(out.ys.ticks, tick{float64(2*i) + 0.5, "in"}, tick{float64(2*i) + 1.5, "out"})
		p.names = append(p.names, ill.name)
		out.lines, lost.lines = append(out.lines, state), append(lost.lines, sum)
	}
	lost.ys = linear(most*1.05, "")
	p.charts = []chart{out, lost}
	return p
}

// status has the first backend fail, one request after the other or by chance.
func (ill illness) status(w *world) func(string) int {
	r := rand.New(rand.NewPCG(1, 2))
	return func(id string) int {
		if now := w.now(); id != "b1" || now < ill.from || now >= ill.to || r.Float64() >= ill.share {
			return 200
		}
		return 503
	}
}

// eject runs an Ejector with the defaults, but without chance, while f runs. The balancer is made anew,
// to be observed.
func (w *world) eject(f func()) {
	ejector := lb.Must(health.NewEjector(health.EjectorConfig{Pool: w.pool, Jitter: -1}))
	w.balancer = lb.Must(lb.New(lb.Config{
		Pool: w.pool, Policy: turns, Retries: -1, Transport: w, Hosts: []string{"app"}, Observers: []lb.Observer{ejector.Observer()},
	}))
	defer w.run(ejector)()
	f()
}
