// Package limit keeps one client from taking everybody's share: each may make so many requests
// per second, and a burst of some more. Others get 429 Too Many Requests, and when to come again.
//
//	limiter, err := limit.New(limit.Config{Rate: 50})
//	http.ListenAndServe(":8080", limiter.Wrap(balancer))
//
// It is plain middleware and knows nothing of balancers. A client is an IPv4 address, or the
// first 64 bits of an IPv6 address, which is what one subscriber gets. Who it is, a proxy says
// only if it is one of Config.TrustedProxies; what others write into X-Forwarded-For changes
// nothing. Requests whose peer has no IP address, as on a unix socket, are one client together.
//
// Each client has a token bucket, golang.org/x/time/rate's. Memory is bounded by
// Config.MaxClients, at about 200 bytes each, and addresses cost an attacker nothing, so a bucket
// is given to another client only when it is full again: then it says nothing that a new one
// would not. While all buckets are in use, newcomers share a single one. However many addresses
// ask, a client that is known stays limited, and gets what is its own.
//
// The limit is one process's: behind n balancers, a client may do n times as much, unless they share
// it: package limit/redis is for that.
//
// # Too much from everybody
//
// [Backends] and [Adaptive] bound how many requests are in flight, at a limit that nobody has to
// know: it follows latency.
//
//	limits, err := limit.NewBackends(limit.AdaptiveConfig{}, breakers) // breakers may be nil
//	balancer, err := lb.New(lb.Config{Pool: pool, Policy: policy, Breakers: limits.Breaker})
//
// gives each backend a limit of its own; where one is full, another is tried. And
//
//	overall, err := limit.NewAdaptive(limit.AdaptiveConfig{Priority: priority})
//	http.ListenAndServe(":8080", overall.Wrap(balancer)) // with overall.Observer() in lb.Config.Observers
//
// is one limit for all requests, by which the less important ones are refused first. The first is for
// backends that differ or fail, and knows of streams; the second is for priorities. Both may be used.
//
// A limit settles where a typical request takes half as long again as without queueing: by Little's
// law with half as many in flight again as the backend serves at a time, and four more for chance. It
// changes after each window of a hundred answers, or of a second, and at least a tenth of one: it
// grows by its square root while it is in use, and falls in proportion, by half at most. What requests
// take without queueing it sees while it is not used; when it is used for long, it looks, with
// somewhat more than half of the requests for one window of a hundred. Latency that does not fall with
// what is in flight is no queueing, and becomes the usual one. A limit that is not used stays as it is.
//
// Measured on a simulated backend with exponential service times, open-loop load, the same bounds (1 or
// 5 to 1000, beginning at 50), and failsafe-go v0.9.8's adaptive limiter with its defaults (a window
// of 1s) beside it:
//
//	                                        here                     failsafe-go
//	backend and load                 limit  used  median       limit  used  median
//	10 places, 2x                     14.2  0.99    1.1         53.5  1.00    5.1
//	10 places, 4x                     13.9  0.99    1.1         71.5  1.00    7.0
//	1 place, 2x                        4.3  0.96    3.4         21.0  0.99   20.2
//	200 places, 0.5x, from cold      233.6  1.00    0.7         41.3  0.41    0.7
//	200 places, 2x                   229.7  1.00    0.8         58.5  0.29    0.7
//	40 places, 20 left, 1.6x          24.6  0.97    0.9         46.8  0.99    2.0
//	20 places, five times slower, 4x  25.2  1.00    1.0         43.6  0.99    1.9
//	100 to 1000 places, ten times     684   1.00    0.7         53.4  0.18    0.7
//	  slower, 0.3x
//	20 places, mixed 1 to 50, 2x      20.5  0.88    0.2         15.8  0.74    0.2
//	40 places of 2s, 2x               48.1  0.95    0.9         63.3  0.94    1.4
//
// Used is the share of what the backend could have served, median the time taken in service times (a
// median of 0.7 is no waiting). With a window of 100ms, failsafe-go's limit grows as it should (200
// places: 216 and 249) and lets more wait (10 places at 2x: median 4.7; 20 left of 40: 9.4). It costs
// 330ns and an allocation for each request where these limits cost 120ns and none. To see the
// figures again: go test -run TestFigures -v ./limit.
package limit
