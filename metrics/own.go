package metrics

import vm "github.com/VictoriaMetrics/metrics"

// kind is what a family of metrics is. All series of a family have to be of one kind.
type kind uint8

const (
	unknown  kind = iota
	reserved      // the package's own
	counters
	gauges
)

// Counter is a metric of the program's own that only grows. Its methods may be called by many
// goroutines at once; they neither lock nor allocate.
type Counter struct{ counter *vm.Counter }

// Inc adds one.
func (c Counter) Inc() { c.counter.Inc() }

// Add adds n.
func (c Counter) Add(n uint64) { c.counter.AddInt64(int64(n)) }

// Counter returns the counter of that name, to which other parts of a program count what the
// balancer does not know: sessions, rate limits, scaling. The name should be
// loadbalancer_<thing>_total. Labels are keys and values in turn, from a closed set: a value that
// a client chooses would fill the memory. What a name or a key may not have becomes an
// underscore. The same name and labels give the same counter. A name that is this package's own
// or a gauge's already is a mistake in the program: the counter then counts, but is not shown.
// Keep the Counter: looking it up takes a lock.
func (r *Recorder) Counter(name string, labels ...string) Counter {
	if !r.claim(name, counters) {
		return Counter{new(vm.Counter)}
	}
	return Counter{r.set.GetOrCreateCounter(seriesName(name, labels...))}
}

// Gauge shows what value returns under a name and labels as for Counter. Value is called by each
// scrape, concurrently; it must be quick. Of two gauges with the same name and labels the first
// stays. A name that is this package's own or a counter's already is not shown, and neither is a
// nil value.
func (r *Recorder) Gauge(name string, value func() float64, labels ...string) {
	if value != nil && r.claim(name, gauges) {
		r.set.GetOrCreateGauge(seriesName(name, labels...), value)
	}
}

// claim makes the family one of kind k, or reports that it is of another.
func (r *Recorder) claim(name string, k kind) bool {
	family := identifier(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds[family] == unknown {
		r.kinds[family] = k
	}
	return r.kinds[family] == k
}
