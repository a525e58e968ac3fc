package redisconn

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

// Script is a program for Redis, in Lua. It touches the keys that it is given and no other, and in a
// cluster one.
type Script struct{ lua *rueidis.Lua }

// NewScript returns a Script. It is sent whole each time: always one round trip, also to a Redis that has
// just begun, and nothing to load.
func NewScript(text string) Script { return Script{rueidis.NewLuaScriptNoSha(text)} }

// Eval runs a script and returns its answer: of an array its parts, of nothing none. Integers come as
// decimals.
func (c *Conn) Eval(ctx context.Context, s Script, keys, args []string) ([]string, error) {
	return c.do(ctx, keys[0], s.command(keys, args))
}

// Later is Eval that waits for nothing: done is called once, elsewhere when the script has ended, or
// at once if nothing can be sent now.
func (c *Conn) Later(s Script, keys, args []string, done func([]string, error)) {
	if _, err := c.start(&call{key: keys[0]}, s.command(keys, args), done); err != nil {
		done(nil, err)
	}
}

func (s Script) command(keys, args []string) command {
	return func(ctx context.Context, l *link) ([]string, error) {
		m, err := s.lua.Exec(ctx, l, keys, args).ToMessage()
		if rueidis.IsRedisNil(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !m.IsArray() {
			part, err := text(&m)
			return []string{part}, err
		}
		parts, err := m.ToArray()
		if err != nil {
			return nil, err
		}
		reply := make([]string, len(parts))
		for i := range parts {
			if reply[i], err = text(&parts[i]); err != nil {
				return nil, err
			}
		}
		return reply, nil
	}
}

// text returns a string or an integer as text, and nothing as "".
func text(m *rueidis.RedisMessage) (string, error) {
	switch {
	case m.IsNil():
		return "", nil
	case m.IsInt64():
		n, err := m.AsInt64()
		return strconv.FormatInt(n, 10), err
	}
	return m.ToString()
}
