//go:build !unix

package main

import (
	"errors"
	"os"
	"os/exec"
)

var errNoSignals = errors.New("this system cannot suspend a process")

func ownGroup(*exec.Cmd) {}

func killGroup(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

func suspend(int) error { return errNoSignals }

func resume(int) error { return errNoSignals }
