package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// lastRows are those that take long, or little of everything.
func lastRows() []row {
	return []row{
		{id: "F27", title: "file descriptors run out", run: exhausted,
			inject: "ulimit -n 256, and 400 clients that connect and say nothing for 3 s",
			accept: "no panic, no backend is taken out for it, no breaker opens; nothing fails later than 1 s after"},
		{id: "F19", title: "soak", run: soak, bound: 15 * time.Minute,
			inject: "10 minutes at 200/s with F1, F2, F7, F14, tunnels and streams, a fault a second, then idle",
			accept: "goroutines at most start + 10, files start + 5, heap start + 10 % or 1 MiB; no POST twice"},
	}
}

func exhausted(s *stage) (*outcome, error) {
	if err := s.addBackends(3, keep); err != nil {
		return nil, err
	}
	f, err := s.startDemoBy("ulimit -n 256")
	if err != nil {
		return nil, err
	}
	begin, hold := time.Second, s.pick(3*time.Second, 1500*time.Millisecond)
	var over time.Duration
	o, l, err := s.measure(f.addr, rate, s.pick(10*time.Second, 5*time.Second), func(p *play) error {
		if err := p.at(begin); err != nil {
			return err
		}
		release := occupy(f.addr, 400)
		defer release()
		err := p.at(begin + hold)
		over = p.now()
		return err
	})
	if err != nil {
		return nil, err
	}
	late := 0
	for _, shot := range l.shots {
		if shot.err != nil && shot.at > over+time.Second {
			late++
		}
	}
	o.detected, o.recovered = lastBad(l.shots, begin, over), lastBad(l.shots, over, l.length)
	o.count("failed later than 1 s after", late, 0)
	o.count("panics", strings.Count(f.said(), "panic"), 0)
	o.count("backends taken out, or back", strings.Count(f.said(), "Backend changed"), 0)
	o.count("breakers opened, or closed", strings.Count(f.said(), "Breaker changed"), 0)
	o.count(twice, o.twice, 0)
	o.note("%s", o.causes())
	return o, nil
}

// occupy opens n connections and says nothing on them.
func occupy(addr string, n int) (release func()) {
	var conns []net.Conn
	for range n {
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			conns = append(conns, conn)
		}
	}
	return func() {
		for _, conn := range conns {
			conn.Close()
		}
	}
}

// held is what a process holds on to.
type held struct{ goroutines, files, heap float64 }

// held asks the demo after two collections of garbage, which being asked brings about.
func (f *front) held(ctx context.Context) (h held) {
	const count, alloc = "go_gc_duration_seconds_count", "go_memstats_heap_alloc_bytes"
	begun := f.metric(ctx, count)
	h.heap = f.metric(ctx, alloc)
	for range 500 {
		if now := f.metric(ctx, alloc); now < h.heap || f.metric(ctx, count) < begun+2 {
			h.heap = now
		}
		if f.metric(ctx, count) >= begun+3 {
			break
		}
	}
	h.goroutines = f.metric(ctx, "go_goroutines")
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", f.cmd.Process.Pid)) // none elsewhere than on Linux
	h.files = float64(len(files))
	return h
}

func (h held) String() string {
	return fmt.Sprintf("%g goroutines, %g files, %.2f MiB", h.goroutines, h.files, h.heap/(1<<20))
}

// within reports whether a process has come back to what it held at the start.
func (h held) within(start held) bool {
	return h.goroutines <= start.goroutines+10 && h.files <= start.files+5 && h.heap <= max(start.heap*1.1, start.heap+1<<20)
}

// soak mixes faults for long, and looks what the demo still holds afterwards.
func soak(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	if _, err := s.during(f.addr, 200, 2*time.Second, s.disturb(f, 2*time.Second)); err != nil {
		return nil, err
	}
	if err := sleepUntil(s.ctx, time.Now().Add(time.Second)); err != nil {
		return nil, err
	}
	start := f.held(s.ctx)
	length := s.pick(10*time.Minute, 12*time.Second)
	l, err := s.during(f.addr, 200, length, s.disturb(f, length))
	if err != nil {
		return nil, err
	}
	var end held
	idle := time.Now().Add(s.pick(time.Minute, 8*time.Second))
	for end = f.held(s.ctx); !end.within(start) && time.Now().Before(idle); end = f.held(s.ctx) {
		if err := sleepUntil(s.ctx, time.Now().Add(time.Second)); err != nil {
			return nil, err
		}
	}
	o, err := s.tally(l)
	if err != nil {
		return nil, err
	}
	o.count("goroutines more than at the start", int(end.goroutines-start.goroutines), 10)
	o.count("files more than at the start", int(end.files-start.files), 5)
	o.laws = append(o.laws, law{what: "MiB of heap, from " + fmt.Sprintf("%.2f", start.heap/(1<<20)), got: round2(end.heap), most: round2(max(start.heap*1.1, start.heap+1<<20))})
	o.count(twice, o.twice, 0)
	o.note("at the start %s; at the end %s", start, end)
	o.note("%s", o.causes())
	return o, nil
}

func round2(bytes float64) float64 { return float64(int(bytes/(1<<20)*100)) / 100 }

// disturb makes faults one after the other until the length is over, and undoes them.
func (s *stage) disturb(f *front, length time.Duration) func(*play) error {
	return func(p *play) error {
		var all sync.WaitGroup
		defer all.Wait()
		for i := 0; p.now() < length-1500*time.Millisecond; i++ {
			b := s.backends[i%len(s.backends)]
			for how := range 3 {
				all.Go(func() { leave(f.addr, fmt.Sprintf("leaver-%d-%d", i, how), how) })
			}
			all.Go(func() { s.askHalves(f, 10) })
			all.Go(func() { visit(f.addr, "tunnel"); visit(f.addr, "events") })
			var err error
			if i%2 == 0 {
				b.kill()
				err = errors.Join(p.at(p.now()+500*time.Millisecond), b.restart())
			} else {
				pid := b.cmd.Process.Pid
				err = errors.Join(suspend(pid), p.at(p.now()+500*time.Millisecond), resume(pid))
			}
			if err := errors.Join(err, p.at(p.now()+500*time.Millisecond)); err != nil {
				return err
			}
		}
		return nil
	}
}

// visit begins a tunnel or a stream, and leaves it.
func visit(addr, kind string) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: lb\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", kind)
	_, _ = conn.Read(make([]byte, 256))
}
