// Package session keeps clients on the backend that served them first.
//
// A request's session is found by an lb.SessionKey. [Cookie] gives each client a signed cookie
// that also says, without naming it, which backend the client is bound to: while that backend is
// fit nothing else is asked, and one process or many agree without talking to each other as long
// as they share the cookie's keys. [Header] takes a header that clients send by themselves.
//
// Where the key does not know, or its backend is out, an lb.SessionStore does: [Memory] for one
// process, package redisstore for several. A Cookie does without a store, too: then a client
// whose backend is out moves, and its next cookie remembers where to.
//
//	cookie, err := session.NewCookie(session.CookieConfig{Pool: pool, Keys: keys})
//	...
//	balancer, err := lb.New(lb.Config{Pool: pool, Policy: policy, SessionKey: cookie})
//
// # What a client can do
//
// Nothing that a client sends is believed without a signature: a cookie that we did not issue is
// as good as none, and its holder gets a new session, never the one it asked for. A cookie holds
// a random number, a keyed hash of a backend's ID and a time, so it tells nothing about the
// backends but whether two sessions share one. It is taken out of what is sent to backends.
// Values of headers are hashed before anything else sees them. Both stores are bounded, or leave
// that to Redis, and a client without a cookie writes nothing into them: they learn of a session
// when it first returns.
//
// All types may be used by many goroutines at once.
package session
