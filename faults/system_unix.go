//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a command the first of a process group: the terminal's interrupt does not reach
// it, and what it starts ends with it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends a process that ownGroup has seen, and all that it has started, at once.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

func suspend(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) }

func resume(pid int) error { return syscall.Kill(pid, syscall.SIGCONT) }
