package autoscale

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"sync"
)

func TestDbg(t *testing.T) {
	for seed := range uint64(1000) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		var mu sync.Mutex
		dbg = func(f string, a ...any) { mu.Lock(); defer mu.Unlock(); fmt.Fprintf(&b, "%v ", time.Now().Unix()%100000); fmt.Fprintf(&b, f+"\n", a...) }
		c := muster(t, 3+int(seed%3), seed)
		defer func() { c.quit(); if t.Failed() { fmt.Println(b.String()) } }()
		c.chaos()
		c.check("end")
	})
	}
}
