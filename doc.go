// Package lb is an HTTP load balancer to build into a program.
//
// A [Balancer] has two faces. As an [http.Handler] it stands in front of backends; as an
// [http.RoundTripper] it gives an [http.Client] many backends behind one name:
//
//	pool, err := lb.NewPool(lb.URLs("http://10.0.0.1:8080", "http://10.0.0.2:8080")...)
//	balancer, err := lb.New(lb.Config{Pool: pool, Policy: picker.PowerOfTwo, Hosts: []string{"shop"}})
//	http.ListenAndServe(":8080", balancer)
//	client := &http.Client{Transport: balancer} // for http://shop/...
//
// # How a request goes
//
// A [Pool] publishes a [Snapshot], an immutable set of backends. From it the balancer derives a
// view: who is eligible, and the [Picker] that the [Policy] built for just these. A request takes
// the backend that its session is bound to, as the [SessionKey] or the [SessionStore] remembers,
// else the one that the picker says; counts itself in there, if the backend's limit and its
// [Breaker] let it; and sends itself. If that fails and it is safe, it tries another backend.
// When the response has ended, the attempt is judged: the breaker, the picker and each
// [Observer] are told its [Result]. Every request ends in one [Summary].
//
// Arrows point one way. Whoever knows about backends (health checks, discovery, an operator)
// writes snapshots; requests read them without a lock and emit results; observers read results.
// When something has changed, one goroutine builds the next view while requests go on with the
// old one, which is safe because a backend's present facts are looked at when it is taken.
//
// # Words
//
// A backend is a server, a spec its description, a pool where backends come from, a snapshot the
// pool at one moment, a view what requests derive from it. A policy builds a picker. A breaker
// guards one backend. A session is bound to a backend. An attempt is one try, a result how it
// ended, a change a move of a backend between states. An observer is told, a runner works in the
// background.
//
// # What to choose
//
//   - Where the backends are: [NewPool], or anything that has a Snapshot method.
//   - Which of them serves: package picker, or a [PickFunc] of a few lines.
//   - Who is kept out: packages breaker and health.
//   - Who stays where: package session, and session/redisstore where several balancers share.
//   - What balancers know of each other: packages fleet, limit/redis and autoscale/redis.
//   - Who is told: packages metrics and tracing, or an [Observer] of your own.
//
// Only Pool and Policy are required. Every zero field is a default that its comment describes.
//
// # Rules
//
// Everything here may be used by many goroutines at once. Constructors start nothing: background
// work is a [Runner], and [Run] ends when all of it has ended. The library logs nothing and keeps
// no state outside of what its constructors return. Whoever imports this package links nothing
// but the standard library.
package lb
