-- Hand out the earliest turn of a conversation that is due and that no worker holds.
-- KEYS: ready, lease, claimed   ARGV: lease ms, key prefix, seconds that a conversation's fence is kept, request
-- A request that comes twice, because its reply was lost, gets the same turn again, with a whole lease.
-- Returns nil, or {conversation, job id, fence, ms since it was stored, the job's fields …}. All keys share the prefix's
-- hash tag.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, conversation in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 20)) do
  redis.call('ZREM', KEYS[2], conversation)
  redis.call('ZADD', KEYS[1], 'NX', now, conversation)
end

local function handed_out(conversation, id)
  local claim = ARGV[2] .. 'claim:' .. conversation
  local job = ARGV[2] .. 'job:' .. id
  local stored = tonumber(redis.call('HGET', job, 'stored') or now)
  local fields = redis.call('HMGET', job, 'turn', 'user', 'attempts', 'claims', 'shape', 'posts', 'kept', 'verdict', 'admitted',
    'stop', 'uses', 'anew')
  return {conversation, id, tonumber(redis.call('HGET', claim, 'fence')), now - stored, unpack(fields, 1, 12)}
end

local before = redis.call('HMGET', KEYS[3], 'request', 'conversation')
if before[1] == ARGV[4] then
  local held = redis.call('HMGET', ARGV[2] .. 'claim:' .. before[2], 'job', 'request')
  if held[1] and held[2] == ARGV[4] then
    redis.call('ZREM', KEYS[1], before[2]) -- nobody claimed it, even if its lease has ended
    redis.call('ZADD', KEYS[2], now + ARGV[1], before[2])
    return handed_out(before[2], held[1])
  end
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
    redis.call('HINCRBY', claim, 'fence', 1)
    redis.call('HSET', claim, 'job', first[1], 'request', ARGV[4])
    redis.call('HDEL', claim, 'stop')
    redis.call('EXPIRE', claim, ARGV[3])
    redis.call('ZADD', KEYS[2], now + ARGV[1], conversation)
    redis.call('HSET', KEYS[3], 'request', ARGV[4], 'conversation', conversation)
    redis.call('EXPIRE', KEYS[3], 600)
    local job = ARGV[2] .. 'job:' .. first[1]
    redis.call('HINCRBY', job, 'attempts', 1)
    redis.call('HINCRBY', job, 'claims', 1)
    return handed_out(conversation, first[1])
  end
end
