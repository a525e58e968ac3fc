package fleet

import (
	"context"
)

// bus is the way that messages travel.
type bus interface {
	// send publishes a message, and keeps it for those who come later if keep says so. Of what is kept,
	// what stale names is dropped. It waits for nothing.
	send(from instance, message string, keep bool, stale []string)
	// listen calls got for each message until ctx is done. Got is quick.
	listen(ctx context.Context, got func(message string)) error
	// kept returns what is kept, by whose it is.
	kept(ctx context.Context) (map[string]string, error)
	stats() (commands uint64, down bool)
	close()
}
