// Package tracing makes OpenTelemetry spans of what a balancer does: one for each request, and
// one below it for each attempt, so that a trace shows which backends were tried, how long each
// took and why the next was asked.
//
//	observer, err := tracing.New(tracing.Config{Provider: provider})
//	balancer, err := lb.New(lb.Config{Observers: []lb.Observer{observer}, ...})
//
// A request that was served gets a span of kind SERVER, from its arrival to the end of its
// response. One that the program made itself, through Balancer.RoundTrip, or that is already part
// of a span of this program, gets one of kind INTERNAL. Each attempt gets a CLIENT span, which
// ends when the attempt is judged: with its response, or for streams a second after the headers,
// and for upgrades at the switch. The context of that span goes to the backend in the attempt's
// headers, in place of the one that came in.
//
// Names, attributes and statuses follow the semantic conventions for HTTP, version 1.43.0. Span
// names are methods, never paths. A SERVER span is an error for a status of 500 and up, a CLIENT
// span for one of 400 and up, and both when something broke off that was not the client's doing.
// Text from clients is cut to 1,024 bytes of valid UTF-8, and known signatures in queries are not
// shown. Attributes of our own are lb.backend.id, lb.attempt (0 for the first) and lb.reason,
// the word of lb.Summary and lb.Result, and, if Config.Explain asks for it, lb.explanation. What is not known here is left out: routes, and the
// protocol that a backend speaks.
//
// The package uses the API of OpenTelemetry only. Which spans are kept and where they go is for
// the SDK to say that made the provider. Without the observer, trace headers pass unchanged.
package tracing
