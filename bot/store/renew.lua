-- Keep a claimed turn, and learn whether its user wants the answer to stop.
-- KEYS: claim, lease   ARGV: fence, job id, conversation, lease ms
-- Returns 0 when another worker has taken over, 1 when still held, 2 when held and to be stopped.
local held = redis.call('HMGET', KEYS[1], 'fence', 'job', 'stop')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or not redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  return 0
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4], ARGV[3])
return held[3] and 2 or 1
