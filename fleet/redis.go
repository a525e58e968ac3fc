package fleet

import (
	"context"

	"github.com/go-loadbalancer/lb/internal/redisconn"
)

// script publishes a message, and keeps it in a hash under its sender's name for those who come later.
// ARGV: channel, message, field or "", milliseconds to keep the hash, the most fields, fields to drop.
// A hash that somebody has filled, or that is none, begins anew. It touches one key.
const script = `if ARGV[3] ~= '' or #ARGV > 5 then
local n = redis.pcall('HLEN', KEYS[1])
if type(n) ~= 'number' or n > tonumber(ARGV[5]) then redis.call('DEL', KEYS[1]) end
for i = 6, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
if ARGV[3] ~= '' then
redis.call('HSET', KEYS[1], ARGV[3], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return ''`

// mostKept bounds the fields of the hash: twice as many as are listened to, for those that have gone.
const mostKept = 2 * maxPeers

// redisBus is a bus over Redis. What is kept stands in one hash, the rest goes over a channel of the same
// name.
type redisBus struct {
	conn *redisconn.Conn
	key  string
	tell redisconn.Script
}

func (cfg Config) redis() redisconn.Config {
	return redisconn.Config{URL: cfg.URL, Client: cfg.Client, TLS: cfg.TLS, Timeout: cfg.Timeout, OnState: cfg.OnState, Dial: cfg.dial}
}

func openRedis(cfg Config) (bus, error) {
	conn, err := redisconn.New(cfg.redis())
	if err != nil {
		return nil, err
	}
	return &redisBus{conn: conn, key: cfg.Prefix + "fleet:" + cfg.Name, tell: redisconn.NewScript(script)}, nil
}

func (r *redisBus) send(from instance, message string, keep bool, stale []string) {
	field := ""
	if keep {
		field = from.String()
	}
	args := append([]string{r.key, message, field, "30000", "2048"}, stale...)
	r.conn.Later(r.tell, []string{r.key}, args, func([]string, error) {})
}

func (r *redisBus) listen(ctx context.Context, got func(string)) error {
	return r.conn.Subscribe(ctx, r.key, got)
}

func (r *redisBus) kept(ctx context.Context) (map[string]string, error) {
	return r.conn.Hash(ctx, r.key, mostKept)
}

func (r *redisBus) stats() (commands uint64, down bool) {
	s := r.conn.Stats()
	return s.Commands, s.Down
}

func (r *redisBus) close() { r.conn.Close() }
