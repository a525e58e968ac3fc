// Package redis is a rate limit that many balancers share through Redis: as package limit, but what a
// client may do, it may do of all of them together.
//
//	limiter, err := redis.New(redis.Config{Limit: limit.Config{Rate: 50}, URL: "redis://127.0.0.1:6379"})
//	...
//	defer limiter.Close()
//	http.ListenAndServe(":8080", limiter.Wrap(balancer))
//
// No request waits for Redis, none fails with it, and while it is away each balancer, an instance in
// what follows, gives each client its share. Who a client is, package limit says. Redis is 5 or newer,
// of any form; a client is one key, so a cluster spreads them.
//
// # How
//
// In Redis there is one bucket for each client, by the generic cell rate algorithm (ITU-T I.371): a
// time at which it will be full. Each instance knows how much was left in it when it last asked, and
// lets its part of that pass unpaid: Burst divided by the instances while the bucket is full, less
// when it is not. What passed is the client's debt. When half of that part is used the instance tells
// Redis of the debt, in the background, and learns what is left. If a client takes more than that, the
// instance leases tokens for the next 100 ms, as many as the client has used of late; a lease that is
// not used within 300 ms is void. From an empty bucket each instance gets what has come since another
// asked, a tenth of a second of Rate at most; they ask about ten times a second, each at random
// times, so that none always comes second, and its share of Rate it may use in advance.
//
// So a client that keeps to a part of one share costs one command in Burst / (2 * instances)
// requests, a visitor who comes once costs none, and one that does too much costs about ten a second
// at each instance, whatever it does (4 * Rate / Burst if that is more, Rate if that is less). One command is under way for a client
// and instance at most, and 256 in all. Instances that have requests say every 5 seconds that they
// are there; those that did so within 15 seconds are counted.
//
// # What is promised
//
// In any T seconds, of all instances together, a client passes at most
//
//	Burst + Rate * T + instances * max(1, Burst/instances) + Rate * (0.3 s + Timeout)
//
// requests. The third term is what instances let pass before they knew of each other, twice the
// burst in the worst case: a client that comes to all instances at once, having used up its bucket at
// each. It is paid afterwards: in the long run Rate is exact. Config.Grant sets it: at 1 it is one
// request for each instance, and what comes before Redis has answered to that is refused. With more
// instances than Burst, each lets one request pass. The last term is what leases may be used late. Of
// what a single bucket for all would let pass, 95 % pass at least.
//
// Each of these may add one Burst more, once: that Redis is away, or loses what it knew; and that an
// instance starts, which takes itself for the only one until Redis answers, within milliseconds, and
// is not known to the others for 5 seconds. Where many start at once with Redis away, Config.Share
// keeps the sum to the limit. A client that an instance has forgotten for want of room, Limit.MaxClients,
// or for having been idle for ten minutes, may owe half of a part that is never paid.
//
// A burst passes at once as far as the part of the instance goes; the rest of it passes as soon as
// Redis has answered. Requests that come between are refused: choose Burst at what clients send at
// once times the instances, or more, or raise Grant. Retry-After is right as far as the instance
// knows: others may have taken of the bucket meanwhile.
//
// # When Redis fails
//
// A client of which Redis did not tell in time, Config.Timeout, gets this instance's share of Rate and
// Burst, and Redis is asked again in 100 to 200 ms, or in a second if it is down for all. What passes in the
// first second of that is still owed; in an outage, nothing but what a bucket of that share lacks. The
// number of instances stays what it was. When Redis is back so is the limit of all, without a word.
//
// # What is in Redis
//
//	lb:l:<22 characters of a hash of the client, or of the instances>
//
// A client's key is a number, gone when the bucket has been full for as long as it takes to fill.
// There are as many as there are clients that passed more than half of a part at one instance within
// the last 2 * Burst / Rate seconds, about 130 bytes each. Redis is trusted with the limit, no more:
// what stands there and is no time counts as a full bucket and is overwritten, a time too far ahead
// counts as the most that instances can have overdrawn, so nobody is locked out for longer than it
// takes to make up for that: Burst / Rate seconds, or instances / Rate. An account for this needs
// EVAL, EVALSHA, TIME, GET, SET, DEL, PEXPIRE, ZADD, ZCARD and ZREMRANGEBYSCORE on the keys of the prefix.
//
// # Figures
//
// Simulated instances and a network of up to 2 ms, random arrivals, a minute; Burst is twice Rate. To
// see them again: go test -run TestFigures -v ./limit/redis.
//
//	                                                               commands per
//	demand                       instances  Rate  passed   served  1,000 requests
//	half of the rate, evenly             4    50  1.00  1.00 1.00         78
//	90 % of the rate, evenly             4    50  1.00  1.00 1.00         85
//	90 % of the rate, at one             4    50  1.00       1.00         81
//	twice the rate, evenly               4    50  1.00  0.51 0.53        279
//	twice the rate, 90 and 10 %          2    50  1.00  0.48 0.89        136
//	twice the rate, at one               8    50  1.00       0.52         96
//	ten times the rate, evenly           8    50  1.00  0.09 0.10         99
//	ten times the rate, evenly           4     1  1.00  0.08 0.12        108
//	90 % of the rate, evenly             8  1000  1.00  1.00 1.00          9
//	twice the rate, evenly               8  1000  1.00  0.50 0.51         37
//	twice the rate, 90 and 10 %          2  1000  1.00  0.46 0.97          9
//
// Passed is the share of what may pass, served that of requests, at the worst and at the best
// instance. A request costs 0.2 µs and no allocation, as with limit.Limiter; a client 180 bytes.
package redis
