// Package sim tries policies on a simulated fleet: the very policies that a balancer is given, on
// virtual time, with as many clients and backends as fit into memory.
//
//	report, err := sim.Run(sim.Config{
//		Policy:   func(int) lb.Policy { return picker.PowerOfTwo },
//		Backends: sim.Fleet(100, sim.Backend{Cores: 4}),
//		Arrivals: sim.Poisson(3000),
//		Work:     sim.Exponential(100 * time.Millisecond),
//		Duration: time.Minute,
//	})
//
// A run is a sequence of events, made by one goroutine: the same seed and configuration give the
// same sequence, whatever the number of processors, and Report.Hash is a hash of it. (The
// functions of package math may differ in the last bit between kinds of processors, and the hash
// with them.) A policy that draws from PickInfo.Rand and reads PickInfo.Now, as policies must, is
// as reproducible as the engine.
//
// Each client is a balancer, with what a policy can see of one: backends with loads that count
// this client's requests alone, sets that are built anew when a backend comes, goes, is marked
// down or gets another weight, three picks before the choice becomes a scan, results for those who
// learn, and the same budget of retries. Sessions, breakers and the panic threshold are left out;
// when no backend is fit, all are eligible.
//
// A run costs about a microsecond for each request, its pick included, and allocates nothing for
// it unless it is tried again. Memory is linear in requests in flight, in those that came within
// the last Timeout, and in clients times backends, half a kilobyte for each pair; and, for exact
// quantiles, in the first ten million arrivals that count, eight bytes each.
//
// What it does not know: connections and their set-up, bytes and bandwidth, garbage collection,
// caches that warm up, and clients that wait for one answer before they ask again. A cancellation
// reaches a backend at once, and a backend's requests all cost the same to switch between.
package sim
