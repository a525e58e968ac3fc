package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// evaluate runs a script and waits.
func evaluate(t *testing.T, c *redisconn.Conn, s redisconn.Script, key string, args ...string) ([]string, error) {
	t.Helper()
	type result struct {
		reply []string
		err   error
	}
	done := make(chan result, 1)
	c.Later(s, []string{key}, args, func(reply []string, err error) { done <- result{reply, err} })
	r := <-done
	return r.reply, r.err
}

// inMemory runs a test with an in-process Redis on virtual time.
func inMemory(t *testing.T, test func(*testing.T, *miniredis.Miniredis, *redisconn.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		defer m.Close()
		m.ClockTTL(true)
		c, err := redisconn.New(redisconn.Config{URL: "redis:6379", Dial: func(context.Context, string) (net.Conn, error) { return m.Dial() }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test(t, m, c)
	})
}

// The script does what the model does, whatever the limit and the time between.
func TestTheScriptIsTheModel(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *miniredis.Miniredis, c *redisconn.Conn) {
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 1))
			rate := []float64{0.01, 0.3, 1, 7.3, 50, 3000, 1e6}[r.IntN(7)]
			tt := newTerms(per(rate, 1+r.IntN(int(3*rate)+3)), 1+r.IntN(20))
			model, key := bucket{}, fmt.Sprint("k", seed)
			for range 50 {
				time.Sleep(seconds(r.ExpFloat64() * tt.burst / rate / 8))
				q := ask{debt: int32(r.IntN(int(tt.line) + 1)), want: int32(r.IntN(int(tt.burst) + 1))}
				q.owes = seconds(float64(q.debt) / rate * r.Float64())
				reply, err := evaluate(t, c, leaseScript, key, leaseArgs(tt, q)...)
				if err != nil {
					t.Fatal(err)
				}
				now := float64(time.Now().UnixMicro())
				k, left := model.lease(now, tt, q)
				if len(reply) != 2 || reply[0] != strconv.Itoa(int(k)) || reply[1] != strconv.FormatInt(left, 10) {
					t.Fatalf("seed %d: rate %v, %+v: %v, want %d and %d", seed, rate, q, reply, k, left)
				}
			}
		}
	})
}

// A burst passes at once, to the token, and then as much as comes.
func TestTheScriptLeasesTheBurst(t *testing.T) {
	inMemory(t, func(t *testing.T, m *miniredis.Miniredis, c *redisconn.Conn) {
		for _, rate := range []float64{0.3, 1, 7.3, 1000. / 3} {
			key, tt := fmt.Sprint(rate), newTerms(per(rate, 10), 1)
			lease := func() (n int) {
				for range 20 {
					reply, err := evaluate(t, c, leaseScript, key, leaseArgs(tt, ask{want: 1})...)
					if err != nil {
						t.Fatal(err)
					}
					k, credit, err := parseLease(tt, ask{want: 1}, reply)
					if n += int(k); err != nil || credit < -0.001 || k == 0 && credit >= 1 {
						t.Errorf("leased %d, left %v, %v", k, credit, err)
					}
				}
				return n
			}
			if n := lease(); n != 10 {
				t.Errorf("rate %v: %d passed at once, want 10", rate, n)
			}
			time.Sleep(seconds(3.001 / rate))
			if n := lease(); n != 3 {
				t.Errorf("rate %v: %d passed when three had come", rate, n)
			}
			time.Sleep(seconds(31 / rate))
			if m.Exists(key) {
				t.Errorf("rate %v: the key is still there when the bucket was full for long", rate)
			}
		}
	})
}

// Whatever stands at the key, the answer is one that can be used, and the next one is right.
func TestTheScriptCuresWhatIsNotOurs(t *testing.T) {
	inMemory(t, func(t *testing.T, m *miniredis.Miniredis, c *redisconn.Conn) {
		tt := newTerms(per(10, 20), 4)
		for _, v := range []string{"", "x", "nan", "-nan", "inf", "-inf", "1e300", "-1e300", "1e400", "0x10", " 5 ", "99999999999999999999", "\x00", "list", "hash"} {
			for _, want := range []int32{0, 5} {
				m.FlushAll()
				switch v {
				case "list":
					_, _ = m.Push("k", "a")
				case "hash":
					m.HSet("k", "a", "b")
				default:
					_ = m.Set("k", v)
				}
				for range 2 {
					q := ask{debt: 2, want: want}
					reply, err := evaluate(t, c, leaseScript, "k", leaseArgs(tt, q)...)
					if err != nil {
						t.Fatalf("%q: %v", v, err)
					}
					if _, credit, err := parseLease(tt, q, reply); err != nil || credit < -tt.over || credit > tt.burst {
						t.Errorf("%q: %v: %v left, %v", v, reply, credit, err)
					}
				}
				time.Sleep(seconds(tt.over/tt.rate + 1))
				reply, err := evaluate(t, c, leaseScript, "k", leaseArgs(tt, ask{want: 1})...)
				if err != nil || reply[0] != "1" {
					t.Errorf("%q: %v, %v after it should be cured", v, reply, err)
				}
			}
		}
	})
}

// An instance counts while it says that it is there, and whatever stands at the key.
func TestInstancesAreCounted(t *testing.T) {
	inMemory(t, func(t *testing.T, m *miniredis.Miniredis, c *redisconn.Conn) {
		beat := func(id string, want int) {
			t.Helper()
			reply, err := evaluate(t, c, beatScript, "k", id, "15000")
			if n, wrong := parseBeat(reply); err != nil || wrong != nil || n != want {
				t.Errorf("%s: %v, %v; want %d", id, reply, err, want)
			}
		}
		beat("a", 1)
		beat("b", 2)
		beat("a", 2)
		time.Sleep(10 * time.Second)
		beat("c", 3)
		time.Sleep(6 * time.Second)
		beat("c", 1)
		m.FlushAll()
		_ = m.Set("k", "mine")
		beat("a", 1)
		_, _ = m.ZAdd("k", 1e18, "from another clock")
		beat("b", 2)
		time.Sleep(16 * time.Second)
		if m.Exists("k") {
			t.Error("the key is still there")
		}
	})
}

// What a Redis that is not ours may answer is refused.
func TestAnswersThatAreNone(t *testing.T) {
	tt, q := newTerms(per(10, 20), 1), ask{debt: 1, want: 5}
	for _, reply := range [][]string{nil, {""}, {"1"}, {"1", "2", "3"}, {"x", "1"}, {"1", "x"}, {"6", "1"}, {"-1", "1"}, {"1", "-1"}, {"1e3", "1"}, {"99999999999", "1"}} {
		if _, _, err := parseLease(tt, q, reply); err == nil {
			t.Errorf("%q was taken for a lease", reply)
		}
	}
	for _, reply := range [][]string{nil, {""}, {"0"}, {"-1"}, {"x"}, {"1", "2"}, {"9999999"}} {
		if _, err := parseBeat(reply); err == nil {
			t.Errorf("%q was taken for a number of instances", reply)
		}
	}
	if _, credit, err := parseLease(tt, q, []string{"0", "999999999999999"}); err != nil || credit != -tt.over {
		t.Errorf("%v left, %v", credit, err)
	}
}
