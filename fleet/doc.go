// Package fleet has several balancers of the same backends learn together which of them are bad.
//
//	secret := ... // 32 random bytes, the same for all instances
//	f, err := fleet.New(fleet.Config{URL: "redis://10.0.0.5", Secret: secret, Pool: pool})
//	balancer, err := lb.New(lb.Config{Pool: pool, Policy: policy, Observers: []lb.Observer{ejector.Observer(), f.Observer()}})
//	go lb.Run(ctx, ejector, f)
//
// Each instance still finds out by itself, with package health and with breakers. A Fleet watches
// what they find and what requests meet, tells the others, and marks a backend lb.Ejected in its
// own pool when the others' word and its own evidence together are enough. Without it, eight
// balancers are eight times in the dark: each needs its five failures. With it, the failures that
// users see are about those of one balancer that had all of the traffic, and what the backend gets
// in a second.
//
// Redis carries the words, and no request ever waits for it: requests only count, with atomic
// additions. When Redis is away, words expire after ten seconds and each instance goes on alone;
// when it is back, all know what the others know within about a second.
//
// # What is said
//
// Once every Config.Interval, and 200 ms after the message before at the earliest when something is
// new, an instance says all that it knows in one message, which replaces the one before: for each
// backend whether it is out by the instance's own evidence and why (ejected, suspect, down, its
// breaker not closed), how many requests in a row have failed, when the last success was, and a
// digest of the last five seconds: results, failures, mean latency. What it does on the word of
// others is never passed on, so that no word can come back to who said it and live for ever.
//
// Digests are for people: [Fleet.Backends] adds them up. They change no estimate of latency.
//
// # What is believed
//
// The rule is a function of the present words, in rule.go. For one backend, in this order:
//
//   - Serves well: the last result here was a success, quick, and less than ten seconds ago. Then
//     it stays, whatever others say and however many they are. One's own evidence is the best there
//     is for one's own requests: the others may be cut off from the backend where this instance is
//     not.
//   - Fails here: the last result was a failure, or slower than Config.Slow, less than ten seconds
//     ago, or requests wait without a word, or successes are slow: four times the median of the
//     pool, and a quarter of a second. Then it goes out if one other instance has it out, and stays
//     out as long as one has, or tries it again.
//   - Fails everywhere, a little: it fails here, and the failures since anybody's last success add
//     up to Config.Failures, of each other instance at most two. Then it is out for Config.Time, as
//     an ejection by this instance. It takes one more failure to have it out again. This is for
//     little traffic: each of eight would need its own five.
//   - Nothing is known here: no result for ten seconds. Then it goes out if one instance has it out
//     and more than half of all speak against it. So who has just started learns from what is kept
//     in Redis, before its first request.
//
// And always: at most Config.MaxShare of the backends are ejected at a time, those that others
// eject counted, and the last fit one never is. A word counts for ten seconds.
//
// When an ejection ends where it began, that instance tries the backend alone: the others keep it
// out until it has had a success, or ten seconds are over. So a backend that is still bad fails for
// one, not for all.
//
// # Liars
//
// An instance that lies, or is broken, or sits behind a broken network, has no more than its share
// ejected elsewhere: of n instances and N backends N/n each, rounded up, and only such backends as
// have just failed there. An ejection because of failures here costs one of the shares of those
// that have the backend out; where that is more than they have left, others whose requests fail
// there, too, have to pay the rest, and if there are none, it stays. Thus k liars have at most
// k*N/n backends, rounded up, ejected at a time. An instance that has a backend out on the word of
// others says so, and pays for nobody, since no success can end a failure that it does not try
// again. No minority has a backend ejected where nothing failed. For four backends and eight
// instances, a share is a half, and two have to speak. A liar can keep failures from being added
// up, by claiming successes; it cannot keep anybody from ejecting alone.
//
// Messages carry a code, HMAC-SHA-256 with a key derived from Config.Secret, over version, pool,
// instance, sequence, time and body. Who lacks the secret can delay messages, drop them, or flood;
// what is taken in a second is bounded: 8 MiB and 4,000 messages, of one instance 20, of at most
// 1,024 others. Who has the secret is a member, and can speak as several: then only the first
// point, the cap, and the bounds hold.
//
// Messages older than ten seconds, and more than five ahead, are dropped. So the clocks of all
// instances have to agree to a few seconds; where they do not, Stats.Dropped says so, and the
// instance that is off goes on alone. Nothing else goes by the wall clock: times travel as ages.
//
// # Whose mark it is
//
// The Fleet marks lb.Ejected, and takes back only what it has marked itself. A backend that
// anything else has out is left to that. If something else takes the Fleet's mark back, such as a
// health.Checker whose checks pass, the Fleet leaves the backend alone for ten seconds. The fact
// has one bit: should health.Ejector and the Fleet mark the same backend in the same moment, the
// first to let it back does so for both.
//
// # Size
//
// Every message reaches every instance: n instances send n messages a second and receive n*n in
// all. With 100 backends a message has about 4 KB: for 8 instances that is nothing, for 100 about
// 40 MB/s from Redis, for more raise Interval, up to 3s. A message holds at most 64 KiB; of more
// backends, what is against them comes first, and digests take turns.
package fleet
