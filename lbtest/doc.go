// Package lbtest helps to test what a program puts into a balancer in place of what comes with it.
//
// [Backend] and [Set] make backends with any load, to try a picker on. The rest are kits, in the
// manner of testing/fstest: each tries one part as a balancer would use it, and returns an error
// that lists every law that the part breaks, or nil.
//
//	func TestMine(t *testing.T) {
//		if err := lbtest.TestPolicy(Mine, lbtest.Traits{Shares: lbtest.Proportional}); err != nil {
//			t.Error(err)
//		}
//	}
//
//	kit               tries                 takes
//	TestPolicy        an lb.Policy          tens of milliseconds
//	TestSessionStore  an lb.SessionStore    milliseconds, where no network is in between
//	TestBreaker       an lb.Breaker         milliseconds, in a bubble of testing/synctest
//	TestPool          an lb.Pool            milliseconds
//	TestBalancer      all of a lb.Config    tens of milliseconds
//
// A kit knows what package lb asks of every part. What a part promises beyond that is said by its
// traits, and held against it. Kits draw the same numbers in each run and take no time as a
// measure, so a part that is a function passes always or never; what goes on at the same time is
// for the race detector: run the tests with -race.
//
// The parts that come with package lb pass the same kits, and defects that other balancers have
// shipped are kept beside each kit, to prove that it finds them:
//
//	defect                                  dies in
//	Caddy's list of the best                TestPolicyMutants
//	Caddy's slots, modulo who is up         TestPolicyMutants
//	draws with replacement                  TestPolicyMutants; sim: TestPO1ShorterOfTwo
//	Traefik's pairs of neighbours           TestPolicyMutants
//	httplb's heap, which only sifts down    TestPolicyMutants
//	a place that is never given back        TestPolicyMutants, TestBalancerMutants; sim: TestLeaksAreReported
//	the key modulo the number of backends   TestPolicyMutants; picker: TestDefectsOfConsistentHashingAreFound
//	a zone's residual, off by one           picker: TestProofZonesFollowTheGoldenVector
//	Prequal's reuse, grouped wrongly        picker: TestReuse
//	latencies that age after a second       sim: TestPO2NoticesAgeing
package lbtest
