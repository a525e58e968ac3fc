package live

import (
	"sync"
	"sync/atomic"
	"testing"
)

type closer struct{ closed atomic.Int64 }

func (c *closer) Close() error { c.closed.Add(1); return nil }

// Cut closes what is held, at the time and after it, and nothing that was released.
func TestCut(t *testing.T) {
	var l Load
	held, released, late := new(closer), new(closer), new(closer)
	l.Hold(held)
	l.Hold(released)
	l.Release(released)
	l.Cut()
	l.Hold(late)
	l.Release(late)
	l.Release(held)
	l.Cut()
	if held.closed.Load() != 1 || released.closed.Load() != 0 || late.closed.Load() != 1 {
		t.Errorf("closed %d, %d and %d times", held.closed.Load(), released.closed.Load(), late.closed.Load())
	}
}

// Whatever is held while a backend is removed is closed, and nothing is closed after its Release.
func TestCutAtAnyTime(t *testing.T) {
	var l Load
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				c := new(closer)
				l.Hold(c)
				l.Release(c)
				if n := c.closed.Load(); n > 1 {
					t.Errorf("closed %d times", n)
				}
			}
		})
	}
	all.Go(l.Cut)
	all.Wait()
	if c := new(closer); true {
		l.Hold(c)
		if c.closed.Load() != 1 {
			t.Error("held after the end")
		}
	}
}
