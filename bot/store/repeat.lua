-- Store that a question is to be answered once more, in the messages of the answer that is remembered.
-- KEYS: dedupe mark, job, mailbox, ready, lease, waiting, queue of the user, person, threads, memory, posted,
--       settling of the first answer, settling of the answer before
-- ARGV: job id, turn, dedupe seconds, conversation, order (Slack ts in µs), user, unanswered turns that a user may have
--       here, seconds that memory is kept (0 = for ever), question's ts, seconds that a post is remembered
-- Returns 1 when stored, 0 when this was asked for before, 2 when it waits already, -1 when the user has too many waiting,
-- -2 when the question is not remembered.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[3]) -- a write, so that WAIT after a repeated delivery confirms the first one too
  return 0
end
local posts
for _, entry in ipairs(redis.call('LRANGE', KEYS[10], 0, -1)) do
  local ts, answer_ts = string.match(entry, '^%d+|([^|]*)|[^|]*|([^|]*)|')
  if ts == ARGV[9] then
    posts = answer_ts
  end
end
if not posts then
  return -2
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SET', KEYS[1], '1', 'EX', ARGV[3])
  return 2
end
if redis.call('ZCARD', KEYS[7]) >= tonumber(ARGV[7]) then
  return -1
end
redis.call('SET', KEYS[1], '1', 'EX', ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Where a worker of the answer before may still be writing, this one counts as taken over: the thread is read again then.
-- What that answer shows is put back no more; double messages still go.
local claims = redis.call('EXISTS', KEYS[12], KEYS[13]) > 0 and 1 or 0
redis.call('HDEL', KEYS[12], 'shown')
redis.call('HDEL', KEYS[13], 'shown')
redis.call('HSET', KEYS[2], 'turn', ARGV[2], 'user', ARGV[6], 'stored', now, 'attempts', 0, 'claims', claims)
if posts ~= '' then
  redis.call('HSET', KEYS[2], 'shape', 'placed', 'posts', (string.gsub(posts, ',', ' ')))
  for ts in string.gmatch(posts, '[^,]+') do
    redis.call('HSET', KEYS[11], ts, ARGV[1])
  end
  redis.call('EXPIRE', KEYS[11], ARGV[10])
end
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1])
redis.call('ZADD', KEYS[6], now, ARGV[1])
redis.call('ZADD', KEYS[7], now, ARGV[1])
redis.call('ZADD', KEYS[8], now, ARGV[4])
redis.call('ZADD', KEYS[9], now, ARGV[4])
if ARGV[8] ~= '0' then
  redis.call('EXPIRE', KEYS[8], ARGV[8])
  redis.call('EXPIRE', KEYS[9], ARGV[8])
end
if not redis.call('ZSCORE', KEYS[5], ARGV[4]) then
  redis.call('ZADD', KEYS[4], 'NX', now, ARGV[4])
end
return 1
