package fleet

import "errors"

// script publishes a message, and keeps it in a hash under its sender's name for those who come later.
// ARGV: channel, message, field or "", milliseconds to keep the hash, the most fields, fields to drop.
// A hash that somebody has filled, or that is none, begins anew.
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

// arguments are what script gets. Key is the channel's name, too.
func arguments(key string, from instance, message string, keep bool, stale []string) []string {
	field := ""
	if keep {
		field = from.String()
	}
	return append([]string{key, message, field, "30000", "2048"}, stale...)
}

func (cfg Config) key() string { return cfg.Prefix + "fleet:" + cfg.Name }

func (cfg Config) redisFaults() []error {
	if cfg.URL == "" && cfg.Client == nil {
		return []error{errors.New("URL is empty")}
	}
	return nil
}

func openRedis(Config) (bus, error) { return nil, errors.New("fleet: not yet") }
