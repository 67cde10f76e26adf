-- Hand out a thread that is to be read again, and come back to it after a pause unless it is done by then.
-- KEYS: settle   ARGV: key prefix, pause ms
-- Returns nil, or {job id, conversation, question's ts, posts}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)
if #due == 0 then
  return nil
end
redis.call('ZADD', KEYS[1], now + ARGV[2], due[1])
local fields = redis.call('HMGET', ARGV[1] .. 'settling:' .. due[1], 'conversation', 'ts', 'posts')
return {due[1], unpack(fields, 1, 3)}
