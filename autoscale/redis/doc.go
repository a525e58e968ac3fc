// Package redis lets balancers that share a Redis scale their backends as one: it is an
// autoscale.Leader.
//
//	leader, err := redis.New(redis.Config{URL: "redis://127.0.0.1:6379", Secret: secret})
//	...
//	defer leader.Close()
//	scaler, err := autoscale.New(autoscale.Config{Pool: pool, Provider: provider, Leader: leader})
//
// Which instance leads is up to a lock (rueidislock, on one key), and what may be done to who can
// replace the State: a compare-and-swap, in one script, of all that the instances must agree on. So
// the lock only keeps them from getting in each other's way. When it is held by two for a
// moment, since one was stopped or its network was, what the earlier one writes is refused, and
// what cannot be written is not done.
//
// # When Redis fails
//
// No request waits for it. While it is away nobody leads, and all serve on with the backends they
// have. When it is back, one leads within Config.Validity or so, and goes on from the State; if Redis has
// lost that, instances put back what they know.
//
// # What is in Redis
//
//	lb:scale:<name>:state     a string: v1, a MAC, and the State as JSON; without a time to live
//	lb:scale:<name>:reports   a hash with what each instance reports once a second: time, v1, MAC, JSON
//
// and the lock's key. The MAC is made with a key derived from Config.Secret, over the name of the key
// and the instance: what somebody else has written there, of whatever type and length, counts as
// nothing and is overwritten. To start afresh, delete the state while no instance runs: backends
// that were launched are then unknown to all. A Redis account for this needs EVAL, EVALSHA, GET, SET,
// DEL, TYPE, HSET, HDEL, HLEN, HGETALL, EXPIRE, PEXPIREAT, TIME and CLIENT on the keys of the prefix.
package redis
