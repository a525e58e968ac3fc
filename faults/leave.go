package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// halves asks for answers that break off, and wants that to be seen.
func halves(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	before, err := s.tellAll("")
	if err != nil {
		return nil, err
	}
	st, err := f.status(s.ctx)
	if err != nil {
		return nil, err
	}
	n := int(s.pick(1000, 200))
	clean := s.askHalves(f, n)
	after, err := s.tellAll("")
	if err != nil {
		return nil, err
	}
	was := st.errors()
	if st, err = f.status(s.ctx); err != nil {
		return nil, err
	}
	o := tally(nil, nil)
	o.count("clients that saw a clean end", clean, 0)
	o.count("attempts beyond one for each", int(after.Requests-before.Requests)-n, 0)
	o.count("failures that were not counted once", max(n-(st.errors()-was), (st.errors()-was)-n), 0)
	return o, nil
}

// errors is the sum over all backends.
func (st *status) errors() (sum int) {
	for _, b := range st.Backends {
		sum += b.Errors
	}
	return sum
}

// askHalves makes n such requests, twenty at a time, and counts those that look whole.
func (s *stage) askHalves(f *front, n int) (clean int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for worker := range 20 {
		all.Go(func() {
			for i := worker; i < n; i += 20 {
				form := []string{"length", "chunked"}[i%2]
				_, _, _, err := fetch(s.ctx, "http://"+f.addr+"/half?form="+form)
				mu.Lock()
				if err == nil {
					clean++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return clean
}

// leavers lets clients leave at different moments, and looks how fast that is known.
func leavers(s *stage) (*outcome, error) {
	f, err := s.crowd()
	if err != nil {
		return nil, err
	}
	n := int(s.pick(1000, 150))
	var mu sync.Mutex
	left := map[string]time.Time{}
	o, _, err := s.measure(f.addr, rate, time.Duration(n+30)*10*time.Millisecond, func(p *play) error {
		var all sync.WaitGroup
		defer all.Wait()
		for i := range n {
			if err := p.at(time.Duration(i) * 10 * time.Millisecond); err != nil {
				return err
			}
			all.Go(func() {
				id := "leaver-" + strconv.Itoa(i)
				when := leave(f.addr, id, i%3)
				mu.Lock()
				defer mu.Unlock()
				left[id] = when
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return o, s.judgeLeavers(o, f, left)
}

func (s *stage) judgeLeavers(o *outcome, f *front, left map[string]time.Time) error {
	idle, active := s.quiet(f)
	st, err := f.status(s.ctx)
	if err != nil {
		return err
	}
	came, unheard, latest, err := s.heard(left)
	o.count("failed requests of those who stayed", o.badGets+o.badPosts, 0)
	o.timedCount("leavers that left before they reached a backend", len(left)-came, len(left)/10)
	o.count("leavers that a backend met, and never heard of again", unheard, 0)
	o.within("the last to be heard of, after", latest, 100*time.Millisecond)
	o.count("requests in flight at the end", active, 0)
	o.within("none in flight after", idle, time.Second)
	o.count("backends out, or breakers not closed", len(st.troubled()), 0)
	return err
}

// leave begins a request and closes the connection: after its head, in the middle of an upload,
// or of an answer. It returns when it left, or the zero time if it never got that far.
func leave(addr, id string, how int) time.Time {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return time.Time{}
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(slack))
	head := " HTTP/1.1\r\nHost: lb\r\nX-Id: " + id + "\r\n"
	switch how {
	case 0:
		_, _ = io.WriteString(conn, "GET /wait?for=10s"+head+"\r\n")
	case 1:
		_, _ = io.WriteString(conn, "POST /wait?for=10s"+head+"Content-Length: 100000\r\n\r\n"+strings.Repeat("x", 20_000))
	default:
		_, _ = io.WriteString(conn, "GET /dribble?n=1000&every=10ms"+head+"\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return time.Time{}
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 2) // and no Close, which would read to the end
	}
	time.Sleep(60 * time.Millisecond) // the request reaches the backend
	return time.Now()
}

// quiet waits until the demo has nothing in flight, for five seconds at most.
func (s *stage) quiet(f *front) (took time.Duration, active int) {
	began := time.Now()
	for time.Since(began) < 5*time.Second {
		st, err := f.status(s.ctx)
		if active = st.Active; err == nil && active == 0 {
			break
		}
		if sleepUntil(s.ctx, time.Now().Add(20*time.Millisecond)) != nil {
			break
		}
	}
	return time.Since(began), active
}

// heard counts the leavers that a backend met, and of these those that it never heard of again. It
// says how long the slowest news took.
func (s *stage) heard(left map[string]time.Time) (came, unheard int, latest time.Duration, err error) {
	met, gone := map[string]bool{}, map[string]time.Time{}
	err = s.eachLine(func(line string) {
		switch words := strings.Fields(line); {
		case len(words) == 2 && words[0] == "came":
			met[words[1]] = true
		case len(words) == 3 && words[0] == "gone":
			ns, _ := strconv.ParseInt(words[2], 10, 64)
			gone[words[1]] = time.Unix(0, ns)
		}
	})
	for id, when := range left {
		at, heard := gone[id]
		switch {
		case !met[id] || when.IsZero():
			continue
		case heard:
			latest = max(latest, at.Sub(when))
		default:
			unheard++
		}
		came++
	}
	return came, unheard, latest, err
}
