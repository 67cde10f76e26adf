-- Hand out a thread that is to be read again, and come back to it after a pause unless it is done by then.
-- KEYS: settle   ARGV: key prefix, pause ms
-- Returns nil, or {job id, conversation, question's ts, posts, what they say (sealed), posts to be taken back}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, job in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  local fields = redis.call('HMGET', ARGV[1] .. 'settling:' .. job, 'conversation', 'ts', 'posts', 'shown', 'gone')
  if fields[1] then
    redis.call('ZADD', KEYS[1], now + ARGV[2], job)
    return {job, unpack(fields, 1, 5)}
  end
  redis.call('ZREM', KEYS[1], job) -- forgotten meanwhile
end
return nil
