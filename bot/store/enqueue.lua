-- Store a turn once: the dedupe mark, the job, its place in the conversation and the conversation's in the queue.
-- KEYS: seen, job, mailbox, ready, lease, waiting, queue of the user, person, threads
-- ARGV: job id, turn, dedupe seconds, conversation, order (Slack ts in µs), user, unanswered turns that a user may have,
--       seconds that memory is kept (0 = for ever)
-- Returns 1 when stored, 0 when the same message was stored before, -1 when the user has too many waiting.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[3]) -- a write, so that WAIT after a repeated delivery confirms the first one too
  return 0
end
redis.call('SET', KEYS[1], '1', 'EX', ARGV[3])
if redis.call('ZCARD', KEYS[7]) >= tonumber(ARGV[7]) then
  return -1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[2], 'turn', ARGV[2], 'user', ARGV[6], 'stored', now, 'attempts', 0, 'claims', 0)
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
