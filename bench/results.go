package main

// The names of what is measured, as they stand in JSON.
const (
	cpu    = "cpu_us"   // processor time of the proxy per request, microseconds
	rate   = "rate"     // requests per second, as many at once as there are clients
	busy   = "busy"     // share of the time that the proxy ran; the rest it waited for load, or for the processor
	others = "others"   // share of the processors that went to others: the proxy's, or the load's if that is more
	p50    = "p50_ms"   // latency at the fixed rate, milliseconds from the scheduled start
	p99    = "p99_ms"   //
	p999   = "p999_ms"  //
	peak   = "peak_mib" // the most memory that the proxy took so far, MiB
	allocs = "allocs"   // objects allocated per request; not known of foreign proxies
	reused = "reused"   // share of the requests that went over a connection that the backend had already
	idle   = "idle_kib" // memory per idle client connection, KiB
)

// results are the values of one scenario.
type results struct {
	scenario scenario
	order    []string                              // proxies, the standard one first
	rate     float64                               // of the latency phase, requests per second
	values   map[string]map[string]map[int]float64 // proxy, metric, round
	tallies  map[string]tally
}

func newResults(s scenario, order []string) *results {
	out := &results{scenario: s, order: order, values: map[string]map[string]map[int]float64{}, tallies: map[string]tally{}}
	for _, name := range order {
		out.values[name] = map[string]map[int]float64{}
	}
	return out
}

// set notes a value.
func (r *results) set(t turn, metric string, value float64) {
	if r.values[t.proxy][metric] == nil {
		r.values[t.proxy][metric] = map[int]float64{}
	}
	r.values[t.proxy][metric][t.round] = value
}

// cost notes what a load has taken of a proxy between two readings, as far as they can tell.
func (r *results) cost(t turn, from, to reading, done tally) {
	n := float64(done.requests)
	r.set(t, rate, n/done.took.Seconds())
	spent := to.before - from.after
	if spent > 0 {
		r.set(t, cpu, spent.Seconds()*1e6/n)
		r.set(t, busy, spent.Seconds()/done.took.Seconds())
	}
	if to.allocs > 0 {
		r.set(t, allocs, float64(to.allocs-from.allocs)/n)
	}
	if to.peak > 0 {
		r.set(t, peak, float64(to.peak)/(1<<20))
	}
}

// disturbed notes the share that others took, the greater one of a round's two phases.
func (r *results) disturbed(t turn, share float64) {
	r.set(t, others, max(share, r.values[t.proxy][others][t.round]))
}

// count adds what came of a load.
func (r *results) count(name string, t tally) {
	sum := r.tallies[name]
	sum.add(t)
	r.tallies[name] = sum
}

func (r *results) median(name, metric string) float64 {
	return spread(flat(r.values[name][metric])).Median
}

// flat returns values in the order of their rounds.
func flat(values map[int]float64) []float64 {
	out := make([]float64, 0, len(values))
	for round := 0; len(out) < len(values); round++ {
		if value, ok := values[round]; ok {
			out = append(out, value)
		}
	}
	return out
}

// Report is what a run has found, as -json writes it.
type Report struct {
	Machine   string           `json:"machine"`
	Go        string           `json:"go"`
	Time      string           `json:"time"`
	Rounds    int              `json:"rounds"`
	Slice     string           `json:"slice"`
	Seed      uint64           `json:"seed"`
	ProxyCPUs []int            `json:"proxy_cpus"` // null: not pinned
	LoadCPUs  []int            `json:"load_cpus"`
	Foreign   []string         `json:"foreign"` // their versions
	Scenarios []ScenarioReport `json:"scenarios"`
}

// ScenarioReport is one scenario's part.
type ScenarioReport struct {
	Name    string        `json:"name"`
	Text    string        `json:"text"`
	Clients int           `json:"clients"`
	Rate    float64       `json:"rate"` // of the latency phase; 0: none
	Proxies []ProxyReport `json:"proxies"`
}

// ProxyReport is one proxy's part.
type ProxyReport struct {
	Name       string            `json:"name"`
	Requests   int               `json:"requests"` // answered as they should be
	Errors     int               `json:"errors"`
	FirstError string            `json:"first_error,omitempty"`
	Metrics    map[string]Metric `json:"metrics"`
}

// Metric is the values of one metric, one for each round, and what they come to. Ratio is the
// spread of the ratios to the standard proxy's value of the same round.
type Metric struct {
	Spread
	Ratio  Spread    `json:"ratio"`
	Values []float64 `json:"values"`
}

func (r *results) report() ScenarioReport {
	out := ScenarioReport{Name: r.scenario.name, Text: r.scenario.text, Clients: r.scenario.clients, Rate: r.rate}
	for _, name := range r.order {
		t := r.tallies[name]
		p := ProxyReport{Name: name, Requests: t.requests, Errors: t.failures, Metrics: map[string]Metric{}}
		if t.first != nil {
			p.FirstError = t.first.Error()
		}
		for metric, values := range r.values[name] {
			p.Metrics[metric] = Metric{
				Spread: spread(flat(values)),
				Ratio:  spread(ratios(values, r.values[kindStandard][metric])),
				Values: flat(values),
			}
		}
		out.Proxies = append(out.Proxies, p)
	}
	return out
}

// failures returns how many requests failed in the whole run.
func (r *Report) failures() (sum int) {
	for _, s := range r.Scenarios {
		for _, p := range s.Proxies {
			sum += p.Errors
		}
	}
	return sum
}
