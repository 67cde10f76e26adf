-- What waits in one partition.
-- KEYS: waiting, lease, dead
-- Returns {turns waiting, conversations leased, dead letters, ms since the oldest waiting turn was stored}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {
  redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3]),
  math.max(now - tonumber(oldest[2] or now), 0),
}
