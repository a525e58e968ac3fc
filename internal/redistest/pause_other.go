//go:build !unix

package redistest

// Pause fails the test: there are no signals to stop a process with.
func (r *Redis) Pause() { r.t.Fatal("this system cannot pause a process") }

// Resume does nothing.
func (r *Redis) Resume() {}
