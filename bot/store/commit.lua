-- Finish a claimed turn: remember the exchange, drop the job, free the conversation for its next turn.
-- KEYS: claim, mailbox, job, ready, lease, memory
-- ARGV: fence, job id, conversation, exchange ('' = nothing to remember), memory seconds, exchanges kept
-- Returns 1 when committed, 0 when another worker has taken over.
local held = redis.call('HMGET', KEYS[1], 'fence', 'job')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or not redis.call('ZSCORE', KEYS[5], ARGV[3]) then
  return 0
end
if ARGV[4] ~= '' then
  redis.call('RPUSH', KEYS[6], ARGV[4])
  redis.call('LTRIM', KEYS[6], -ARGV[6], -1)
  redis.call('EXPIRE', KEYS[6], ARGV[5])
end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[3])
redis.call('HDEL', KEYS[1], 'job')
redis.call('ZREM', KEYS[5], ARGV[3])
if redis.call('EXISTS', KEYS[2]) == 1 then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[3])
end
return 1
