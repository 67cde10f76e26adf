-- Hand a claimed turn back, to be claimed again after a while.
-- KEYS: claim, ready, lease, job   ARGV: fence, job id, conversation, delay ms, 1 when the attempt counts
-- Returns 1 when handed back, 0 when another worker has taken over.
local held = redis.call('HMGET', KEYS[1], 'fence', 'job', 'ended')
if held[3] == 'fail ' .. ARGV[1] then
  return 1 -- by this very call, whose reply was lost
end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or not redis.call('ZSCORE', KEYS[3], ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[1], 'ended', 'fail ' .. ARGV[1])
if ARGV[5] == '0' then
  redis.call('HINCRBY', KEYS[4], 'attempts', -1)
end
redis.call('HDEL', KEYS[1], 'job')
redis.call('ZREM', KEYS[3], ARGV[3])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4], ARGV[3])
return 1
