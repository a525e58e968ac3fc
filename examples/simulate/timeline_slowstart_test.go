package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// slowStarting has a fourth backend join three, and one of the three come back, in a window of a minute.
func slowStarting(t *testing.T) page {
	p := page{
		title: "Slow start", head: []string{"", "5 s", "12 s", "30 s", "45 s", "60 s"},
		summary: "A fourth backend joins three of the same weight at 10 s. Window 1m0s, 40 requests/s, Weighted.",
		foot:    "Weight is the newcomer's, in % of its own, so long after it joined.",
	}
	weights := chart{title: "Weight of the newcomer", x: "time", y: "% of its own weight", xs: linear(80, " s"), ys: linear(100, "")}
	shares := chart{title: "Its requests", x: "time", y: "% of all requests, means of 2 s", xs: linear(80, " s"), ys: linear(30, "")}
	for _, c := range []struct {
		name string
		cfg  lb.SlowStart
	}{
		{"off", lb.SlowStart{}},
		{"aggression 0.5", lb.SlowStart{Window: time.Minute, Aggression: 0.5}},
		{"aggression 1", lb.SlowStart{Window: time.Minute}},
		{"aggression 2", lb.SlowStart{Window: time.Minute, Aggression: 2}},
	} {
		w, s, row := line{name: c.name, step: true}, line{name: c.name}, []string{c.name}
		synctest.Test(t, func(t *testing.T) {
			world := newWorld(t, 3, lb.Config{Policy: drawn(picker.Weighted), SlowStart: c.cfg})
			for world.now() < 80*time.Second {
				at := world.now()
				if at == 10*time.Second {
					world.add("b4")
				}
				before := world.served["b4"]
				for range 4 {
					w.at = append(w.at, point{world.now().Seconds(), 100 * world.weight("b4")})
					switch world.now() - 10*time.Second {
					case 5 * time.Second, 12 * time.Second, 30 * time.Second, 45 * time.Second, 60 * time.Second:
						row = append(row, fmt.Sprintf("%.0f %%", 100*world.weight("b4")))
					}
					world.send(40, time.Second/2)
				}
				s.at = append(s.at, point{at.Seconds() + 1, 100 * float64(world.served["b4"]-before) / 80})
			}
		})
		p.names, p.rows = append(p.names, c.name), append(p.rows, row)
		weights.lines, shares.lines = append(weights.lines, w), append(shares.lines, s)
	}
	p.charts = []chart{weights, shares}
	return p
}

// weight is what the balancer gives a backend, in its own weight; zero if it is not there.
func (w *world) weight(id string) float64 {
	for _, b := range w.balancer.Status().Backends {
		if b.ID() == id {
			return b.Share / float64(b.Weight())
		}
	}
	return 0
}

// drawn is a policy whose draws are always the same.
func drawn(p lb.Policy) lb.Policy {
	r := rand.New(rand.NewPCG(1, 3))
	var last lb.Picker
	return func(set lb.Set) lb.Picker {
		set.Previous = last
		inner := p(set)
		last = inner
		return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
			info.Rand = r.Uint64()
			return inner.Pick(info)
		})
	}
}
