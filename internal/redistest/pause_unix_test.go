//go:build unix

package redistest

import (
	"net"
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	r := Start(t)
	r.Pause()
	conn, err := net.Dial("tcp", r.Address()) // the kernel takes it
	must(t, err)
	defer conn.Close()
	_, _ = conn.Write([]byte("PING\r\n"))
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 9)); err == nil {
		t.Errorf("%d bytes came from a paused Redis", n)
	}
	r.Resume()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 9)); err != nil {
		t.Error(err)
	}
	r.Pause()
	r.Kill() // nor does that wait
}

// A master that is paused loses its place, and follows the new one when it goes on.
func TestFailoverOfThePaused(t *testing.T) {
	t.Parallel()
	s := StartSentinels(t)
	old := s.Failover((*Redis).Pause)
	want(t, s.Master(), "OK", "SET", "k", "v")
	s.Rejoin(old)
	want(t, old, "v", "GET", "k")
}
