// Package loadreport makes a backend say how loaded it is, so that balancers need not guess. It goes
// around a backend's own handler:
//
//	meter, err := loadreport.New(loadreport.Config{Capacity: 64})
//	...
//	http.ListenAndServe(":9001", meter.Handler(mux))
//
// The meter counts the requests in flight and remembers how long they took. It says so in the header
// Endpoint-Load-Metrics of every answer, which picker.WeightedByLoad reads, and answers GET
// /.well-known/load with it at once, which is what picker.Prequal asks. The balancer takes the header
// out of what clients get; whoever reaches a backend past its balancer can read it.
//
// The header is that of Open Request Cost Aggregation, which Envoy and gRPC understand, too:
//
//	Endpoint-Load-Metrics: TEXT application_utilization=0.25,rps_fractional=120.5,eps=1,named_metrics.in_flight=16,named_metrics.latency_seconds=0.021
//
// Utilisation is requests in flight by Config.Capacity, or what a function of one's own says. How
// busy the processors are is nothing that a program can find out on every system, so the meter does
// not try.
//
// The package imports nothing but the standard library and internal ones: a backend that uses it links
// no balancer. A Meter may be used by any number of goroutines. A request costs three short locks, three
// allocations and some two microseconds.
package loadreport
