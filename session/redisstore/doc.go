// Package redisstore remembers sessions in memory and in Redis, for all balancers that share it.
//
//	store, err := redisstore.New(redisstore.Config{URL: "redis://127.0.0.1:6379", Secret: secret})
//	...
//	defer store.Close()
//	balancer, err := lb.New(lb.Config{Pool: pool, Policy: policy, SessionKey: cookie, Sessions: store})
//
// # Who is right
//
// First the session's own key: a cookie whose backend is fit asks no store. Then what this process
// knows for sure, which costs less than a microsecond and no command. Then Redis. Where all of them
// know nothing, a balancer sends the session where every other would.
//
// A session is known for sure from when Redis said it until Redis tells of a change, by client-side
// caching, or the connection is lost. Where Redis does not tell (Config.Client, services without
// CLIENT TRACKING) and after the store has bound the session by itself, it is known for Config.Fresh.
// So a look-up may return what another balancer has changed a moment ago, or Fresh ago at most; it
// never returns what is older than this store has said or done before. [Store.Bind] always asks Redis,
// and exactly one of many that move a session does.
//
// # When Redis fails
//
// No request waits for longer than Config.Timeout for a command, none fails, and no more than 256
// commands wait for Redis at a time, however many requests do not. After five failures in a row Redis
// is left alone until it is back. What was known, for sure or not, is used meanwhile, for as long as
// the session is. What balancers decide meanwhile they decide alone, and remember up to 131,072 such
// sessions to tell Redis of when it is back: what Redis has then is what counts, and where it has
// nothing, who tells it first. The others find out at once. Config.OnState is told of the beginning
// and the end.
//
// A program may start while Redis is down, and Redis may lose all it has: who knows a session gives
// it back, when it is used, and, when several in a row were lost, in the background, about 6,000 a
// second. A connection that was lost for a moment costs sixteen commands to find out that nothing is
// missing, and one for each session when it is used again.
//
//	what happens                         who keeps its backend
//	Redis hangs, is away, or full        all that this balancer has seen within the TTL
//	Redis begins again, or is flushed    all that any balancer knows that is asked for them; the
//	                                     others as soon as those have given them back
//	a balancer begins again              all, by Redis; without Redis, those with a cookie whose
//	                                     backend is fit
//	both at a time                       those with a cookie whose backend is fit
//	balancers that do not see each       all, but for those moved on both sides, of which
//	other and Redis                      one side's move counts afterwards
//
// # What is in memory
//
// Up to Config.MaxSessions sessions of about 100 bytes each, those that are used (S3-FIFO), and
// nothing that was not signed. No goroutine runs in the background, but while there is something to
// tell Redis: it begins with that and ends by itself.
//
// # What is in Redis
//
// For each session there is one key that lives for Config.TTL since the last use, or for at
// least half of that, since Redis is told of a use when less than half of the time is left: of one
// session at most twice in a TTL, however many requests and balancers there are:
//
//	lb:s:<22 characters of the SHA-256 of the session>   v1<22 characters of a MAC><backend ID>
//
// Of a session that was forgotten the key stays, without a backend, so that nobody who remembers it
// takes it for one that was lost.
//
// Redis is trusted to keep what it is told, no more. A session cannot be learned from its key.
// The MAC is made with a key derived from Config.Secret over the key and the backend's ID: a value that
// somebody else has written, or copied from another session, counts as none and is overwritten.
// Reading takes no more than 257 bytes of it. A Redis account for this needs the commands GETRANGE,
// GET, SET, PTTL, PEXPIRE and EVAL on the keys of the prefix, and CLIENT for tracking. Redis 6.2 is
// enough.
package redisstore
