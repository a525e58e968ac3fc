package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// cpuSet is the kernel's cpu_set_t, for up to 1024 processors.
type cpuSet [16]uint64

// allowedCPUs returns the processors that the calling thread may run on.
func allowedCPUs() (cpus []int) {
	var set cpuSet
	if affinity(syscall.SYS_SCHED_GETAFFINITY, 0, &set) != nil {
		return nil
	}
	for cpu := range len(set) * 64 {
		if set[cpu/64]&(1<<(cpu%64)) != 0 {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

func affinity(call uintptr, thread int, set *cpuSet) error {
	_, _, errno := syscall.RawSyscall(call, uintptr(thread), unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
	if errno != 0 {
		return fmt.Errorf("processor affinity: %w", errno)
	}
	return nil
}

func pinThread(thread int, cpus []int) error {
	var set cpuSet
	for _, cpu := range cpus {
		set[cpu/64] |= 1 << (cpu % 64)
	}
	return affinity(syscall.SYS_SCHED_SETAFFINITY, thread, &set)
}

// pinSelf keeps this process on these processors. It asks twice, for the threads that appeared
// in the meantime; later ones inherit from those that make them.
func pinSelf(cpus []int) error {
	for range 2 {
		for _, dir := range glob("/proc/self/task/*") {
			thread, _ := strconv.Atoi(filepath.Base(dir))
			if err := pinThread(thread, cpus); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
	}
	return nil
}

// startOn calls start on a thread that is pinned to these processors: a process that it starts
// inherits that. Nil means anywhere.
func startOn(cpus []int, start func() error) error {
	if cpus == nil {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own := allowedCPUs()
	if err := pinThread(0, cpus); err != nil {
		return err
	}
	err := start()
	if back := pinThread(0, own); err == nil {
		err = back
	}
	return err
}

// family returns pid and its children: nginx works in a child of the process that was started.
func family(pid int) []int {
	pids := []int{pid}
	for _, path := range glob("/proc/[0-9]*/stat") {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // the name before may hold spaces
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, child)
		}
	}
	return pids
}

// cpuTime returns the time that these processes' threads have spent on a processor, in the
// kernel and out of it, to the nanosecond. False means that this system cannot tell.
func cpuTime(pids []int) (total time.Duration, ok bool) {
	for _, pid := range pids {
		for _, path := range glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // the thread has ended
			}
			ran, _, _ := strings.Cut(string(text), " ")
			ns, err := strconv.ParseInt(ran, 10, 64)
			if err != nil {
				return 0, false
			}
			total, ok = total+time.Duration(ns), true
		}
	}
	return total, ok
}

// coreTime returns the time that these processors have spent on anything, interrupts and other
// guests of the same machine included, to a hundredth of a second.
func coreTime(cpus []int) (total time.Duration) {
	text, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		cpu, err := strconv.Atoi(fields[0][len("cpu"):])
		if err != nil || !slices.Contains(cpus, cpu) {
			continue
		}
		for _, i := range []int{1, 2, 3, 6, 7, 8} { // all but idle and waiting for disks; see proc_stat(5)
			ticks, _ := strconv.ParseInt(fields[i], 10, 64)
			total += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return total
}

// memory returns the bytes of RAM that these processes take now, and the most they ever took.
func memory(pids []int) (now, peak int64, ok bool) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		now += kilobytes(string(text), "VmRSS:")
		peak += kilobytes(string(text), "VmHWM:")
		ok = true
	}
	return now, peak, ok
}

func kilobytes(text, name string) int64 {
	_, rest, _ := strings.Cut(text, name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}

// glob is filepath.Glob of a pattern that is known to be well formed.
func glob(pattern string) []string {
	paths, _ := filepath.Glob(pattern)
	return paths
}

// selfCPU returns what this process has spent; here the parent reads that from /proc.
func selfCPU() time.Duration { return 0 }

// sharpen lets the calling thread's sleeps end on time instead of up to 50us late.
func sharpen() {
	const setTimerSlack = 29 // PR_SET_TIMERSLACK
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
}

// sleep waits without Go's timers, which may be a millisecond late when little else happens.
func sleep(d time.Duration) {
	left := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&left, nil) // woken early, the caller looks at the clock again
}

// machine names the processor and the system.
func machine() string {
	model := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	if _, rest, ok := strings.Cut(string(info), "model name"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		model = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d processors, Linux %s", model, runtime.NumCPU(), strings.TrimSpace(string(release)))
}
