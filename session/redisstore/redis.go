package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// redis is what all stores agree by. A key's value stands there until its time is over. All
// methods may be called by many goroutines at once, and none waits for longer than Config.Timeout.
type redis interface {
	// get returns the value of key, "" if there is none. Of one that is tracked every change is
	// told.
	get(ctx context.Context, key string) (value string, tracked bool, err error)
	// assign changes a key's value, or prolongs it. It returns what stands there afterwards, and
	// how long that is kept.
	assign(ctx context.Context, key string, to assignment) (now string, left time.Duration, err error)
	// assignLater is assign that waits for nothing. Done is called once, maybe at once.
	assignLater(key string, to assignment, done func(now string, left time.Duration, err error))
	// set gives key a value for the whole TTL, whatever stands there.
	set(ctx context.Context, key, value string) error
	// down reports whether Redis is believed to be unreachable.
	down() bool
}

// assignment gives a key a value for the whole TTL if it has the value old, or none, for which the
// value void counts as well. Another value it prolongs to the TTL if half of that is over. With value
// "" it only does the latter.
type assignment struct{ old, void, value string }

// assignScript treats what is no string, or too long for one of ours, as if nothing stood there. It
// never shortens a time, and leaves alone what need not be prolonged, for that would invalidate what
// others remember: with Redis 7 the latter is EXPIRE with GT.
//
//	KEYS key  ARGV old, void, value, TTL in ms, bytes of the longest value
var assignScript = redisconn.NewScript(`local v = redis.pcall('GET', KEYS[1])
if type(v) == 'string' and #v <= tonumber(ARGV[5]) and v ~= ARGV[1] and v ~= ARGV[2] then
  local left = redis.call('PTTL', KEYS[1])
  if left * 2 < tonumber(ARGV[4]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    return {v, ARGV[4]}
  end
  return {v, tostring(left)}
end
if ARGV[3] == '' then return {'', '0'} end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return {ARGV[3], ARGV[4]}`)

var setScript = redisconn.NewScript(`redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {}`)

// shared is the Redis that a connection leads to.
type shared struct {
	conn *redisconn.Conn
	ttl  string // in milliseconds
}

func newShared(conn *redisconn.Conn, ttl time.Duration) shared {
	return shared{conn: conn, ttl: strconv.FormatInt(ttl.Milliseconds(), 10)}
}

func (r shared) get(ctx context.Context, key string) (string, bool, error) {
	return r.conn.Get(ctx, key)
}

func (r shared) assign(ctx context.Context, key string, to assignment) (string, time.Duration, error) {
	reply, err := r.conn.Eval(ctx, assignScript, []string{key}, r.args(to))
	return assigned(reply, err)
}

func (r shared) assignLater(key string, to assignment, done func(string, time.Duration, error)) {
	r.conn.Later(assignScript, []string{key}, r.args(to), func(reply []string, err error) {
		done(assigned(reply, err))
	})
}

func (r shared) set(ctx context.Context, key, value string) error {
	_, err := r.conn.Eval(ctx, setScript, []string{key}, []string{value, r.ttl})
	return err
}

func (r shared) down() bool { return r.conn.Stats().Down }

func (r shared) args(to assignment) []string {
	return []string{to.old, to.void, to.value, r.ttl, strconv.Itoa(redisconn.MaxValue)}
}

var errReply = errors.New("redis gave an answer of another kind")

func assigned(reply []string, err error) (now string, left time.Duration, _ error) {
	if err != nil {
		return "", 0, err
	}
	if len(reply) != 2 {
		return "", 0, errReply
	}
	ms, err := strconv.ParseInt(reply[1], 10, 64)
	if err != nil {
		return "", 0, errReply
	}
	return reply[0], time.Duration(max(ms, 0)) * time.Millisecond, nil
}
