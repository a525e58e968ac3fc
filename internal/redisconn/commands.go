package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// MaxValue is the length of the longest value that is believed to be ours.
const MaxValue = 256

// cacheFor is longer than anybody keeps what Get returned; changes are told of.
const cacheFor = 24 * time.Hour

// errOdd is what Redis has and we cannot use. It answered.
var errOdd = errors.New("redis has something else")

// Get returns the value of key, "" if there is none or it is no string. Of a value that is too long it
// returns MaxValue+1 bytes. If tracked, Config.Tracked is told when it changes.
func (c *Conn) Get(ctx context.Context, key string) (value string, tracked bool, err error) {
	reply, err := c.do(ctx, key, read(key))
	if err != nil {
		return "", false, err
	}
	return reply[0], len(reply) > 1, nil
}

// read is the command of Get. Its reply has a second part if the value is tracked.
func read(key string) command {
	return func(ctx context.Context, l *link) ([]string, error) {
		b := l.B().Getrange().Key(key).Start(0).End(MaxValue)
		var value string
		var err error
		if l.tracking {
			value, err = l.DoCache(ctx, b.Cache().ToStaticTTL(), cacheFor).ToString()
		} else {
			value, err = l.Do(ctx, b.Build()).ToString()
		}
		if reply, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(reply.Error(), "WRONGTYPE") {
			value, err = "", nil
		}
		if l.tracking {
			return []string{value, ""}, err
		}
		return []string{value}, err
	}
}

// Hash returns a hash of at most most fields, nil if there is none. What is larger, or no hash, is an error.
func (c *Conn) Hash(ctx context.Context, key string, most int) (map[string]string, error) {
	reply, err := c.do(ctx, key, func(ctx context.Context, l *link) ([]string, error) {
		n, err := l.Do(ctx, l.B().Hlen().Key(key).Build()).AsInt64()
		if err != nil || n == 0 {
			return nil, err
		}
		if n > int64(most) {
			return nil, fmt.Errorf("%w: the hash %q has %d fields, more than %d", errOdd, key, n, most)
		}
		m, err := l.Do(ctx, l.B().Hgetall().Key(key).Build()).AsStrMap()
		reply := make([]string, 0, 2*len(m))
		for field, value := range m {
			reply = append(reply, field, value)
		}
		return reply, err
	})
	if err != nil || len(reply) == 0 {
		return nil, err
	}
	fields := make(map[string]string, len(reply)/2)
	for i := 0; i+1 < len(reply); i += 2 {
		fields[reply[i]] = reply[i+1]
	}
	return fields, nil
}
