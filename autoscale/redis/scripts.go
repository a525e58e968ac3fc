package redis

// Each script touches one key, and takes what has the wrong type or is too long for nothing at all.

// readScript returns the State.
const readScript = `local v = redis.pcall('GET', KEYS[1])
if type(v) ~= 'string' or #v > tonumber(ARGV[1]) then return '' end
return v`

// swapScript replaces the State if it is still the one expected.
const swapScript = `local v = redis.pcall('GET', KEYS[1])
if type(v) ~= 'string' or #v > tonumber(ARGV[1]) then v = '' end
if v ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
return 1`

// reportScript stores a report with the time, by the clock of Redis, or takes it away if it is
// empty. It returns how many there are.
const reportScript = `if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], redis.call('TIME')[1] .. ':' .. ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return redis.call('HLEN', KEYS[1])`

// reportsScript returns what is not too old, and takes away what is; all, if there is more than anybody
// of us would store.
const reportsScript = `if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return {} end
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) return {} end
local now, all, good = tonumber(redis.call('TIME')[1]), redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local at, v = string.match(all[i + 1], '^(%d+):(.*)$')
  if at and now - tonumber(at) <= tonumber(ARGV[1]) then
    good[#good + 1] = all[i]
    good[#good + 1] = v
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return good`
