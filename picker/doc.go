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
// of goroutines, allocates nothing, and waits for nothing but, in Prequal, another pick.
//
//	policy          looks at             weights  cost  take it when
//	RoundRobin      turns                no       1     requests and backends are all alike
//	Weighted        turns                yes      1     shares have to come out exactly
//	Random          nothing              no       1     you want a baseline to compare with
//	WeightedRandom  nothing              yes      1     many balancers share the backends, and see little of each other's load
//	LeastLoaded     in flight            yes      n     requests differ in length, backends are few
//	LeastLoadedBias in flight            yes      n     the same, but nobody may be without any requests
//	PowerOfTwo      in flight of two     yes      1     the same with many backends or balancers: the safe choice
//	PowerOfD        in flight of d       yes      d     the same, and many of the backends are slow
//	PeakEWMA        load of two          yes      1     backends differ in speed
//	Adaptive        load of two, breaker yes      1     backends differ, and fail
//	Prequal         what backends say    yes      1     many balancers, many backends, and a tail of latency to hold down
//	WeightedByLoad  what backends say    see it   1     backends differ in size, or have other things to do
//	HashClient      client's address     yes      n     a client's requests meet a warm cache
//	HashHeader      a header             yes      n     a tenant's or a document's do
//	HashCookie      a cookie             yes      n     a user's do; for sessions proper see package session
//	Rendezvous      any Key              yes      n     another key does, or with a Secret; backends are few
//	Maglev          any Key              yes      1     the same with many backends that seldom leave for good
//	Ring            any Key              yes      1     the same with many that often do; shares are less even
//	BoundedLoad     inner's, in flight   yes      n     keys are of very unequal weight, or clients choose them
//	Prefer          a property           inner's  inner some backends come first: a zone, a track, a price
//	Region          the request's region inner's  inner requests say where they come from
//	Subset          a salt               inner's  inner many balancers share many backends, and cannot be numbered
//	Aperture        the balancer's place inner's  inner they can, and each backend should get the same
//	ZoneAware       zones, capacity      yes      log z crossing zones costs time and money, and none should get too much
//	Priority        health of tiers      inner's  log t the others are for when the first cannot bear it all
//
// Cost is in the number of backends n, or of zones z or tiers t besides the inner policy's. Weights
// are effective ones: a backend that is warming up has less than it is configured with.
//
// Those with inner policies go into each other. To the inner one a group is a pool of its own, so a
// Priority of a ZoneAware of a Subset of PowerOfTwo looks at the zones within each tier, and uses a
// few backends of each zone.
//
// Maglev's and Ring's pick costs the same for any number of backends while few of them are down. A
// request without the key costs them a look at every backend, as do those for whom 64 places in
// the table had nobody to serve them.
//
// What backends say of their load is in the header Endpoint-Load-Metrics; see package loadreport.
//
// PeakEWMA, Adaptive and Prequal look at the errors that the balancer sees, and WeightedByLoad at those
// that backends own up to. To the others a backend that fails fast looks idle, or like any other; a
// breaker takes it out (see package breaker).
//
// Pickers that look at loads or count turns explain themselves to lb.Balancer.Explain, which takes
// no turn; Prefer and Region pass the question on.
//
// Which to take, with curves from the simulator, is in docs/policies.md.
//
// A policy of your own is a function, too; examples/custompicker has one, and package lbtest proves
// it.
package picker
