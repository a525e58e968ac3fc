//go:build !linux

package main

import (
	"fmt"
	"runtime"
	"time"
)

// Elsewhere than on Linux nothing is pinned, and only the proxies that are made here tell what
// they took: their processor time where there is getrusage, and the memory that Go asked for.

func allowedCPUs() []int { return nil }

func pinSelf([]int) error { return nil }

func startOn(_ []int, start func() error) error { return start() }

func family(pid int) []int { return []int{pid} }

func cpuTime([]int) (time.Duration, bool) { return 0, false }

func coreTime([]int) time.Duration { return 0 }

func memory([]int) (now, peak int64, ok bool) { return 0, 0, false }

func sharpen() {}

func sleep(d time.Duration) { time.Sleep(d) }

func machine() string { return fmt.Sprintf("%s, %d processors", runtime.GOARCH, runtime.NumCPU()) }
