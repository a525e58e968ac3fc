package main

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/live"
)

// hashed is where a policy sends the keys, and which it moves.
type hashed struct {
	name   string
	shares []float64 // of each backend, 1 being an equal one, the smallest first
	moved  []float64 // of the keys that need not have moved, after each of events
}

// events are what happens to the backends of hashed, each by itself.
func events() []string {
	return []string{"1 down", "1/10 down", "1 leaves", "1/10 leave", "1 joins"}
}

// keying sends so many keys, each from a client and for a path of its own and all in flight at
// once, to the backends as they are, and then again after each of the events.
func keying(o *options) page {
	var found []hashed
	for _, name := range o.policies {
		p, _ := lb.Must(find(name))(0, o.clients, func(*lb.Backend) {})
		found = append(found, o.hash(name, p))
	}
	return o.keyed(found)
}

func (o *options) hash(name string, policy lb.Policy) hashed {
	known := o.known(o.backends + 1)
	few := max(1, o.backends/10)
	whole := set(known[:o.backends])
	first := policy(whole)
	before := o.send(first, known)
	h := hashed{name: name, shares: make([]float64, o.backends)}
	for _, at := range before {
		h.shares[at] += float64(o.backends) / float64(o.keys)
	}
	slices.Sort(h.shares)
	for i := range events() {
		next, out := set(known), 0 // the last one has joined
		switch i {
		case 0, 1:
			out = []int{1, few}[i]
			next = set(known[out:o.backends])
			next.Others = backends(known[:out])
		case 2, 3:
			out = []int{1, few}[i-2]
			next = set(known[out:o.backends])
		}
		next.Previous = first
		h.moved = append(h.moved, moved(before, o.send(policy(next), known), out, o.backends))
	}
	return h
}

// moved returns the share of keys that are elsewhere though their backend is not one of the first,
// which are out, and they are not at one that is new.
func moved(before, after []int, out, known int) float64 {
	n := 0
	for i, at := range after {
		if at != before[i] && before[i] >= out && at < known {
			n++
		}
	}
	return float64(n) / float64(len(after))
}

// loaded is a backend with the load that it shares.
type loaded struct {
	*lb.Backend
	load *live.Load
}

func (o *options) known(n int) []loaded {
	known := make([]loaded, n)
	for i := range known {
		load := new(live.Load)
		known[i] = loaded{lb.Must(lb.NewBackend(lb.Spec{ID: fmt.Sprintf("b%05d", i), URL: "http://b"}, load)), load}
	}
	return known
}

func set(known []loaded) (s lb.Set) {
	for _, k := range known {
		s.Eligible = append(s.Eligible, lb.Candidate{Backend: k.Backend, Weight: 1})
	}
	return s
}

func backends(known []loaded) (bs []*lb.Backend) {
	for _, k := range known {
		bs = append(bs, k.Backend)
	}
	return bs
}

// send returns the backend of each key, as an index of known.
func (o *options) send(p lb.Picker, known []loaded) []int {
	index, where := make(map[*lb.Backend]int, len(known)), make([]int, o.keys)
	for i, k := range known {
		index[k.Backend] = i
	}
	r := &http.Request{Method: "GET", URL: new(url.URL), Header: http.Header{}}
	for i := range where {
		r.URL.Path = fmt.Sprint("/key/", o.seed, "/", i)
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		b := p.Pick(lb.PickInfo{Request: r, ClientIP: address, Now: time.Unix(0, 0), Rand: o.seed + uint64(i)})
		where[i] = index[b]
		known[where[i]].load.Enter(0)
	}
	for _, at := range where {
		known[at].load.Leave()
	}
	return where
}

// keyed shows where the keys went.
func (o *options) keyed(found []hashed) page {
	p := page{
		title: "Keys", names: o.policies, head: []string{"policy", "share min", "max", "deviation"},
		summary: fmt.Sprintf("%d keys, %d backends, seed %d.", o.keys, o.backends, o.seed),
		foot:    "A share of 1 is an equal one. Of the keys whose backend is still there so many move, when one of the backends or a tenth of them are down or leave, and, but to the newcomer, when one joins.",
	}
	p.head = append(p.head, events()...)
	spread := chart{title: "Keys of each backend", x: "backends, in the order of their shares (%)", y: "keys, 1 = an equal share", xs: linear(100, "")}
	moves := chart{title: "Keys that move without need", x: "what happens", y: "% of all keys", xs: axis{low: -0.5, high: float64(len(events())) - 0.5}}
	for i, what := range events() {
		moves.xs.ticks = append(moves.xs.ticks, tick{float64(i), what})
	}
	high, most := 1.2, 1.0
	for k, h := range found {
		n := len(h.shares)
		cells := []string{h.name, fmt.Sprintf("%.2f", h.shares[0]), fmt.Sprintf("%.2f", h.shares[n-1]), fmt.Sprintf("%.3f", deviation(h.shares))}
		l, dots := line{name: h.name, dots: n <= 50}, line{name: h.name, dots: true}
		for i, x := range h.shares {
			l.at = append(l.at, point{100 * (float64(i) + 0.5) / float64(n), x})
			high = max(high, x)
		}
		for i, x := range h.moved {
			cells = append(cells, fmt.Sprintf("%.2f %%", 100*x))
			aside := 0.5 * ((float64(k)+0.5)/float64(len(found)) - 0.5)
			dots.at = append(dots.at, point{float64(i) + aside, 100 * x})
			most = max(most, 100*x)
		}
		p.rows, spread.lines, moves.lines = append(p.rows, cells), append(spread.lines, l), append(moves.lines, dots)
	}
	spread.ys, moves.ys = linear(high, ""), linear(most*1.05, " %")
	p.charts = []chart{spread, moves}
	return p
}

// deviation returns the standard deviation of shares, whose mean is 1.
func deviation(shares []float64) float64 {
	sum := 0.0
	for _, x := range shares {
		sum += (x - 1) * (x - 1)
	}
	return math.Sqrt(sum / float64(len(shares)))
}
