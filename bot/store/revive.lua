-- Put a dead letter back into its conversation's queue, as if it had just come, at the place that its message has there.
-- KEYS: dead, letter, job, dedupe mark, mailbox, ready, lease, waiting, queue of the user, person, threads
-- ARGV: job id, conversation, user, order (Slack ts in µs), dedupe seconds, seconds that memory is kept (0 = for ever)
-- Returns 1 when done, 0 when there is no such letter any more, or its question waits already.
local turn = redis.call('HGET', KEYS[2], 'turn')
if not turn or not redis.call('ZSCORE', KEYS[1], ARGV[1]) or redis.call('EXISTS', KEYS[3]) == 1 then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[3], 'turn', turn, 'user', ARGV[3], 'stored', now, 'attempts', 0, 'claims', 0, 'anew', 1)
redis.call('SET', KEYS[4], '1', 'EX', ARGV[5]) -- a late delivery is none of its own
redis.call('ZADD', KEYS[5], ARGV[4], ARGV[1])
redis.call('ZADD', KEYS[8], now, ARGV[1])
redis.call('ZADD', KEYS[9], now, ARGV[1])
redis.call('ZADD', KEYS[10], now, ARGV[2])
redis.call('ZADD', KEYS[11], now, ARGV[2])
if ARGV[6] ~= '0' then
  redis.call('EXPIRE', KEYS[10], ARGV[6])
  redis.call('EXPIRE', KEYS[11], ARGV[6])
end
if not redis.call('ZSCORE', KEYS[7], ARGV[2]) then
  redis.call('ZADD', KEYS[6], 'NX', now, ARGV[2])
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
