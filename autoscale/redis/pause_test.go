//go:build unix

package redis

import (
	"os/exec"
	"syscall"
	"testing"
)

// stop stops a process without ending it, and goOn lets it go on.
func stop(t *testing.T, cmd *exec.Cmd) { send(t, cmd, syscall.SIGSTOP) }
func goOn(t *testing.T, cmd *exec.Cmd) { send(t, cmd, syscall.SIGCONT) }

func send(t *testing.T, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
