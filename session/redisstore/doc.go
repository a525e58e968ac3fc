// Package redisstore remembers sessions in Redis, for all balancers that share it.
//
//	store, err := redisstore.New(redisstore.Config{Address: "127.0.0.1:6379", Secret: secret})
//	...
//	defer store.Close()
//	balancer, err := lb.New(lb.Config{Pool: pool, Policy: policy, SessionKey: cookie, Sessions: store})
//
// # When Redis fails
//
// No request waits for longer than Config.Timeout, none fails, and no more than 256 commands
// wait for Redis at a time, however many requests do not. After five failures in a row Redis is
// left alone, but for one command a second that finds out when it is back. Until then a session
// goes where its cookie says, or where all balancers would send it without Redis. Config.OnState
// is told of the beginning and the end.
//
// A program may start while Redis is down, and Redis may lose all it has: sessions return to it
// as their clients do.
//
// # What is in Redis
//
// For each session there is one key that lives for Config.TTL since the last use, or for at
// least half of that, since Redis is not told of every use:
//
//	lb:s:<22 characters of the SHA-256 of the session>   v1<22 characters of a MAC><backend ID>
//
// Redis is trusted to keep what it is told, no more. A session cannot be learned from its key.
// The MAC is made with Config.Secret over the key and the backend's ID: a value that somebody
// else has written, or copied from another session, counts as none and is overwritten. Reading
// takes no more than 257 bytes of it. A Redis account for this needs the commands GETRANGE,
// GET, SET, DEL, PTTL, PEXPIRE and EVAL on the keys of the prefix.
package redisstore
