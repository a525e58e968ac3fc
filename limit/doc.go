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
// The limit is one process's: behind n balancers, a client may do n times as much.
package limit
