package redis

import (
	"errors"
	"math"
	"strconv"

	"github.com/go-loadbalancer/lb/internal/redisconn"
)

var (
	leaseScript = redisconn.NewScript(leaseText)
	beatScript  = redisconn.NewScript(beatText)
)

// leaseText is the generic cell rate algorithm (ITU-T I.371) with a debt. The key holds the time, in
// microseconds of Redis' own clock, at which the bucket is full again, and stays for longer by the
// time in which an empty one fills. The debt is charged whatever is left, as if it was known when it
// was made: the bucket is full when the debt has been made up for after all else, or after itself alone
// if that is later. Of the tokens wanted, as many are leased as are left, but not more than are
// scarce, or half if that is more. What stands at the key and cannot be a time counts as none, and no
// time is believed that lies further ahead than the fleet can have overdrawn.
//
// KEYS: the client's. ARGV: microseconds per token, tokens that the bucket holds, tokens by which it
// may be overdrawn, tokens that are scarce, debt, microseconds in which it would be made up for
// alone, tokens wanted.
// Returns the tokens leased, and the microseconds until the bucket is full.
const leaseText = `local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local each, burst, over, scarce = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local debt, owes, want = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local v = redis.pcall('GET', KEYS[1])
local full = type(v) == 'string' and tonumber(v) or 0
if full ~= full then full = 0 end
full = math.min(math.max(full + debt * each, now + owes), now + (burst + over) * each)
local left = burst - (full - now) / each
local k = math.max(0, math.floor(math.min(want, left + 0.001, math.max(scarce, left / 2))))
full = math.ceil(full + k * each)
if debt + k > 0 or v and full - now >= burst * each then
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now + burst * each) / 1000))
end
return {k, full - now}`

// beatText counts the instances that were there within the last ARGV[2] milliseconds, and ARGV[1] is
// there now. Times that are ahead are from another clock.
const beatText = `local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local r = redis.pcall('ZADD', KEYS[1], now, ARGV[1])
if type(r) == 'table' and r.err then
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], now, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. (now + ARGV[2]), '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {redis.call('ZCARD', KEYS[1])}`

// leaseArgs are the script's.
func leaseArgs(t terms, q ask) []string {
	return []string{
		strconv.FormatFloat(t.emission(), 'f', -1, 64),
		strconv.FormatFloat(t.burst, 'f', -1, 64),
		strconv.FormatFloat(t.over, 'f', -1, 64),
		strconv.FormatFloat(max(1, math.Ceil(scarce*t.rate)), 'f', -1, 64),
		strconv.Itoa(int(q.debt)),
		strconv.FormatInt(q.owes.Microseconds(), 10),
		strconv.Itoa(int(q.want)),
	}
}

var errReply = errors.New("redis answered something else than was asked")

// parseLease reads the script's answer to q: tokens leased, and what is left in the bucket.
func parseLease(t terms, q ask, reply []string) (k int32, credit float64, err error) {
	if len(reply) != 2 {
		return 0, 0, errReply
	}
	lease, err1 := strconv.ParseInt(reply[0], 10, 32)
	full, err2 := strconv.ParseInt(reply[1], 10, 64)
	if err1 != nil || err2 != nil || lease < 0 || lease > int64(q.want) || full < 0 {
		return 0, 0, errReply
	}
	return int32(lease), max(t.burst-float64(full)/t.emission(), -t.over), nil
}

// mostInstances bounds what is believed about how many there are.
const mostInstances = 100_000

// parseBeat reads how many instances there are.
func parseBeat(reply []string) (instances int, err error) {
	if len(reply) != 1 {
		return 0, errReply
	}
	n, err := strconv.Atoi(reply[0])
	if err != nil || n < 1 || n > mostInstances {
		return 0, errReply
	}
	return n, nil
}
