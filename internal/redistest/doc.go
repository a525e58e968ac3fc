// Package redistest runs real Redis processes for tests, on free ports of the loopback interface: one
// Redis, a trio of sentinels with a master and two replicas, or a cluster of three. A test without
// redis-server is skipped, unless the environment says LB_TEST_REQUIRE=1: then it fails.
//
//	r := redistest.Start(t)                                             // one, plain
//	r := redistest.Start(t, redistest.Config{TLS: true, Password: "x"}) // one, as it is configured
//	s := redistest.StartSentinels(t)
//	c := redistest.StartCluster(t)
//	p := redistest.StartProxy(t, r.Address())                           // faults on the way to one
//
// All of them end with the test, also when it fails. Ports lie between 10000 and 21999, where no
// system takes the ports of outgoing connections from: a client that dials a dead Redis again and
// again cannot meet itself there, and a Redis that was killed finds its port free.
package redistest
