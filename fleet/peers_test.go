package fleet

import (
	"encoding/binary"
	"testing"
	"time"
)

func newPeers() *peers {
	return &peers{me: instance{99}, codec: newCodec(secret, "p"), all: map[instance]*peer{}}
}

func known(id string) string { return id }

func from(n int) (i instance) {
	binary.BigEndian.PutUint32(i[:], uint32(n))
	return i
}

func TestWhoIsBelieved(t *testing.T) {
	p := newPeers()
	send := func(from instance, sequence uint64, at time.Duration) fault {
		m := message{from: from, sequence: sequence, at: noon.Add(at).UnixMilli(), lines: []line{{"b", failWord(1)}}}
		return p.receive(string(p.codec.seal(m, noon)), false, noon, known)
	}
	for _, c := range []struct {
		from     instance
		sequence uint64
		at       time.Duration
		want     fault
	}{
		{from(1), 5, 0, fine}, {from(1), 5, 0, replayed}, {from(1), 4, 0, replayed}, {from(1), 6, 0, fine},
		{from(2), 1, -10 * time.Second, fine}, {from(3), 1, -10001 * time.Millisecond, tooOld},
		{from(3), 1, 5 * time.Second, fine}, {from(4), 1, 5001 * time.Millisecond, tooNew}, {p.me, 1, 0, ours},
	} {
		if got := send(c.from, c.sequence, c.at); got != c.want {
			t.Errorf("%v: fault %d", c, got)
		}
	}
	old := string(append([]byte{2}, make([]byte, 200)...))
	if f := p.receive(old, false, noon, known); f != wrongVersion {
		t.Errorf("fault %d", f)
	}
	if p.taken != 4 || p.dropped[replayed] != 2 || p.dropped[ours] != 1 || p.dropped[wrongVersion] != 1 {
		t.Errorf("%d taken, dropped %v", p.taken, p.dropped)
	}
}

// A word ends by itself, ten seconds after it was sent, and no replay brings it back.
func TestWordsExpire(t *testing.T) {
	for _, ageNow := range []time.Duration{-5 * time.Second, 0, 4 * time.Second, 10 * time.Second} {
		p := newPeers()
		m := message{from: from(1), sequence: 1, at: noon.Add(-ageNow).UnixMilli(), lines: []line{{"b", failWord(1)}}}
		sealed := string(p.codec.seal(m, noon))
		if f := p.receive(sealed, false, noon, known); f != fine {
			t.Fatal(f)
		}
		end := noon.Add(lifetime - max(0, ageNow))
		for at := noon; at.Before(noon.Add(time.Minute)); at = at.Add(100 * time.Millisecond) {
			p.expire(at)
			if p.receive(sealed, false, at, known) == fine {
				t.Fatalf("age %v: taken again after %v", ageNow, at.Sub(noon))
			}
			if got, want := len(p.present(at)) == 1, !at.After(end); got != want {
				t.Fatalf("age %v: after %v it counts: %v", ageNow, at.Sub(noon), got)
			}
		}
		if len(p.all) != 0 {
			t.Error("it is never forgotten")
		}
	}
}

// A flood costs a bounded number of looks and instances.
func TestAFloodIsBounded(t *testing.T) {
	p := newPeers()
	taken, forged := 0, string(make([]byte, 1000))
	for i := range 50_000 {
		now := noon.Add(time.Duration(i) * 20 * time.Microsecond) // one second
		m := message{from: from(1), sequence: uint64(i + 1), at: noon.UnixMilli()}
		if i%2 == 0 {
			p.receive("\x01"+forged, false, now, known)
		} else if i < 2000 && p.receive(string(p.codec.seal(m, noon)), false, now, known) == fine {
			taken++
		}
	}
	if taken > mostOfOne+2 || p.dropped[wrongCode] > 2*mostMessages {
		t.Errorf("%d taken of one, %d codes computed in vain", taken, p.dropped[wrongCode])
	}
	p = newPeers()
	for i := range 2 * maxPeers {
		p.receive(string(p.codec.seal(message{from: from(i), at: noon.UnixMilli()}, noon)), false, noon, known)
	}
	if len(p.all) != maxPeers || p.dropped[crowded] != maxPeers {
		t.Errorf("%d instances, %d not", len(p.all), p.dropped[crowded])
	}
}
