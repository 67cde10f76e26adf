-- Take back a turn whose message was deleted; an answer under way loses its lease, so that it cannot be committed.
-- What it has shown in Slack is put down to be taken back.
-- KEYS: job, claim, lease, ready, mailbox, waiting, queue of the user, settle, settling, posted
-- ARGV: job id, conversation, question's ts, ms until its worker has noticed
-- Returns 1 when there was such a turn.
local job = redis.call('HMGET', KEYS[1], 'posts', 'shape', 'user')
if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local posts = job[1] or ''
local is_held = redis.call('HGET', KEYS[2], 'job') == ARGV[1]
if job[2] ~= 'ephemeral' and (is_held or posts ~= '') then
  for ts in string.gmatch(posts, '%S+') do
    redis.call('HDEL', KEYS[10], ts)
  end
  redis.call('ZADD', KEYS[8], now + ARGV[4], ARGV[1])
  redis.call('HSET', KEYS[9], 'conversation', ARGV[2], 'ts', ARGV[3], 'posts', '', 'gone', posts, 'user', job[3] or '')
  redis.call('EXPIRE', KEYS[9], 86400)
end
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
if is_held then
  redis.call('HINCRBY', KEYS[2], 'fence', 1)
  redis.call('HDEL', KEYS[2], 'job')
  redis.call('ZREM', KEYS[3], ARGV[2])
  if redis.call('EXISTS', KEYS[5]) == 1 then
    redis.call('ZADD', KEYS[4], now, ARGV[2])
  end
end
return 1
