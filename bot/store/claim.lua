-- Hand out the earliest turn of a conversation that is due and that no worker holds.
-- KEYS: ready, lease   ARGV: lease ms, key prefix, seconds that a conversation's fence is kept
-- Returns nil, or {conversation, job id, fence, ms since it was stored, the job's fields …}. All keys share the prefix's
-- hash tag.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, conversation in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 20)) do
  redis.call('ZREM', KEYS[2], conversation)
  redis.call('ZADD', KEYS[1], 'NX', now, conversation)
end
while true do
  local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)
  if #due == 0 then
    return nil
  end
  local conversation = due[1]
  redis.call('ZREM', KEYS[1], conversation)
  local first = redis.call('ZRANGE', ARGV[2] .. 'mailbox:' .. conversation, 0, 0)
  if #first == 1 then
    local claim = ARGV[2] .. 'claim:' .. conversation
    local fence = redis.call('HINCRBY', claim, 'fence', 1)
    redis.call('HSET', claim, 'job', first[1])
    redis.call('HDEL', claim, 'stop')
    redis.call('EXPIRE', claim, ARGV[3])
    redis.call('ZADD', KEYS[2], now + ARGV[1], conversation)
    local job = ARGV[2] .. 'job:' .. first[1]
    redis.call('HINCRBY', job, 'attempts', 1)
    redis.call('HINCRBY', job, 'claims', 1)
    local stored = tonumber(redis.call('HGET', job, 'stored') or now)
    local fields = redis.call('HMGET', job, 'turn', 'user', 'attempts', 'claims', 'shape', 'posts', 'kept', 'verdict')
    return {conversation, first[1], fence, now - stored, unpack(fields, 1, 8)}
  end
end
