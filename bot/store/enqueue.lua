-- Store a turn once: the dedupe mark, the job, its place in the conversation and the conversation's in the queue.
-- KEYS: dedupe mark, job, mailbox, ready, lease, waiting, queue of the user, person, threads
-- ARGV: job id, turn, dedupe seconds, conversation, order (Slack ts in µs), user, unanswered turns that a user may have
--       here, seconds that memory is kept (0 = for ever), verdict with which the turn is to end ('' = with an answer)
-- Returns 1 when stored, 0 when the same message was stored before; -1 when the user has too many waiting: of a question,
-- nothing is kept then, a refusal is marked as received.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[3]) -- a write, so that WAIT after a repeated delivery confirms the first one too
  return 0
end
local waiting, refusal = redis.call('ZCARD', KEYS[7]), ARGV[9] ~= ''
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SET', KEYS[1], '1', 'EX', ARGV[3])
  return 0 -- it waits longer than marks are kept; or its message was taken as it was before an edit, and is answered
end
if not refusal and waiting >= tonumber(ARGV[7]) then
  return -1
end
redis.call('SET', KEYS[1], '1', 'EX', ARGV[3])
if refusal and waiting > tonumber(ARGV[7]) then
  return -1 -- one refusal waits already
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[2], 'turn', ARGV[2], 'user', ARGV[6], 'stored', now, 'attempts', 0, 'claims', 0)
if refusal then
  redis.call('HSET', KEYS[2], 'verdict', ARGV[9])
end
redis.call('ZADD', KEYS[3], refusal and 0 or ARGV[5], ARGV[1]) -- a refusal need not wait for the answers before it
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
