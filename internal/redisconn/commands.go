package redisconn

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// MaxValue is the length of the longest value that is believed to be ours.
const MaxValue = 256

// swapScript writes unless another value stands there than the one expected. What is no string, or
// too long for one of ours, does not stand in the way. One script serves for assigning, too,
// which SET NX GET could do from Redis 7.0 on, but not over a value of another type.
const swapScript = `local v = redis.pcall('GET', KEYS[1])
if type(v) == 'string' and #v <= tonumber(ARGV[4]) and v ~= ARGV[1] then return v end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ARGV[2]`

// touchScript writes a value that is not there, unless its own is empty, and prolongs one whose
// time is half over. It leaves alone what need not be prolonged, for that would invalidate what
// others have cached.
const touchScript = `if ARGV[1] ~= '' and redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return '' end
if redis.call('PTTL', KEYS[1]) * 2 < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return ''`

// Get returns the value of key, "" if there is none. Of a value that is too long it returns
// MaxValue+1 bytes.
func (c *Conn) Get(ctx context.Context, key string) (string, error) {
	return c.do(ctx, func(ctx context.Context, r rueidis.Client) (string, error) {
		value, err := r.Do(ctx, r.B().Getrange().Key(key).Start(0).End(MaxValue).Build()).ToString()
		if reply, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(reply.Error(), "WRONGTYPE") {
			return "", nil
		}
		return value, err
	})
}

// Swap sets key to value for a time of ttl if it has the value old, or none, or one that
// believed does not accept. It returns the value that it has then. For old "" it only assigns.
// It gives up when others write unacceptable values as fast as it finds them.
func (c *Conn) Swap(ctx context.Context, key, old, value string, ttl time.Duration, believed func(string) bool) (string, error) {
	return c.do(ctx, func(ctx context.Context, r rueidis.Client) (got string, err error) {
		for range 3 {
			args := []string{old, value, milliseconds(ttl), strconv.Itoa(MaxValue)}
			got, err = c.swap.Exec(ctx, r, []string{key}, args).ToString()
			if err != nil || got == value || believed(got) {
				return got, err
			}
			old = got
		}
		return "", nil
	})
}

// Touch sets a key that has no value, unless value is "", and prolongs that of another to ttl if
// half of that is over. It waits for nothing: entry is called elsewhere, and so is failed, unless nothing can be
// sent now.
func (c *Conn) Touch(entry func() (key, value string), ttl time.Duration, failed func()) {
	_, err := c.start(func(ctx context.Context, r rueidis.Client) (string, error) {
		key, value := entry()
		return c.touch.Exec(ctx, r, []string{key}, []string{value, milliseconds(ttl)}).ToString()
	}, failed)
	if err != nil {
		failed()
	}
}

// Delete removes key.
func (c *Conn) Delete(ctx context.Context, key string) error {
	_, err := c.do(ctx, func(ctx context.Context, r rueidis.Client) (string, error) {
		return "", r.Do(ctx, r.B().Del().Key(key).Build()).Error()
	})
	return err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
