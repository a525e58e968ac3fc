// Package picker has the policies by which a balancer chooses a backend for each request.
//
//	lb.New(lb.Config{Pool: pool, Policy: picker.PowerOfTwo})
//
// A policy is a value of type lb.Policy, or a function that returns one. It is called with the
// backends that are eligible now and makes a picker of them; what can be computed beforehand is
// computed then. Where a picker has a position, such as whose turn it is, it takes over that of its
// predecessor, so that backends that come and go do not make it start anew.
//
// A pick is a function of the picker, the loads that the balancer keeps on the backends, and the
// lb.PickInfo that comes with it, which has the clock and the draw. It may be called by any number
// of goroutines, allocates nothing, and waits for nothing but, in Prequal and sometimes in Weighted,
// another pick.
//
//	policy          looks at             weights  cost  take it when
//	RoundRobin      turns                no       1     requests and backends are all alike
//	Weighted        turns                yes      1     shares have to come out exactly
//	Random          nothing              no       1     you want a baseline to compare with
//	WeightedRandom  nothing              yes      log n many balancers share the backends, and see little of each other's load
//	LeastLoaded     in flight            yes      n     requests differ in length, backends are few
//	PowerOfTwo      in flight of two     yes      1     the same with many backends or balancers: the safe choice
//	PeakEWMA        load of two          yes      1     backends differ in speed
//	Adaptive        load of two, breaker yes      1     backends differ, and fail
//	Prequal         what backends say    yes      1     many balancers, many backends, and a tail of latency to hold down
//	WeightedByLoad  what backends say    see it   1     backends differ in size, or have other things to do
//	HashClient      client's address     yes      n     a client's requests meet a warm cache
//	HashHeader      a header             yes      n     a tenant's or a document's do
//	HashCookie      a cookie             yes      n     a user's do; for sessions proper see package session
//	Prefer          a property           inner's  inner some backends come first: a zone, a track, a price
//	Region          the request's region inner's  inner requests say where they come from
//
// Cost is in the number of backends n. Weights are effective ones: a backend that is warming up
// has less than it is configured with.
//
// What backends say of their load is in the header Endpoint-Load-Metrics; see package loadreport.
//
// PeakEWMA, Adaptive and Prequal look at the errors that the balancer sees, and WeightedByLoad at those
// that backends own up to. To the others a backend that fails fast looks idle,
// or like any other; a breaker takes it out (see package breaker).
//
// A policy of your own is a function, too; examples/custompicker has one.
package picker
