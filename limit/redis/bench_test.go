package redis

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/redisconn"
	"github.com/go-loadbalancer/lb/limit"
)

// nobody answers nothing, and is asked once for each client.
type nobody struct{}

func (nobody) Later(redisconn.Script, []string, []string, func([]string, error)) {}

// generous has room for whatever a benchmark does.
func generous() *Limiter {
	cfg := Config{Limit: limit.Config{Rate: 1e6, Burst: 1 << 30}, Timeout: 1 << 60}
	return newLimiter(cfg.withDefaults(), nil, nobody{})
}

// What a request costs: compare BenchmarkKnownClient of package limit.
func BenchmarkKnownClient(b *testing.B) {
	h := generous().Wrap(ok)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r, w := request("192.0.2.1:1"), httptest.NewRecorder()
		for pb.Next() {
			h.ServeHTTP(w, r)
		}
	})
}

func BenchmarkFlood(b *testing.B) {
	l := generous()
	b.ReportAllocs()
	n := client
	for i := 0; b.Loop(); i++ {
		n[0], n[1], n[2], n[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		l.take(n, time.Duration(i)*time.Microsecond)
	}
}
