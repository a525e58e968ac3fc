// Package pickers measures the policies of package picker beside those of grpc-go and httplb. It is
// a module of its own, so that nobody else needs theirs.
//
//	go test -bench . -count 12
//
// All choose among the same number of backends that are up. What is measured is one choice and,
// where a picker counts requests itself, the end of the request, because the one has no meaning
// without the other: grpc-go's and httplb's return a function for it, which they allocate. In lb
// the balancer counts, which is not measured here; but each of our picks makes a draw first, as a
// balancer does for every attempt, also for policies that need none.
package pickers
