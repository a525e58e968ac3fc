//go:build unix && !linux

package main

import (
	"syscall"
	"time"
)

// selfCPU returns the processor time that this process has spent, in the kernel and out of it.
func selfCPU() time.Duration {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
