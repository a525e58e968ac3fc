//go:build unix

package redistest

import "syscall"

// Pause stops the process without ending it: it keeps its connections and answers nothing.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) {
	r.t.Helper()
	if r.process == nil {
		r.t.Fatal(errEnded)
	}
	must(r.t, r.process.pid.Signal(s))
}
