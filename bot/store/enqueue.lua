-- Store a turn once: the dedupe mark, the job, its place in the conversation and the conversation's in the queue.
-- KEYS: seen, job, mailbox, ready, lease   ARGV: job id, turn, dedupe seconds, conversation, order (Slack ts in µs)
-- Returns 1 when stored, 0 when the same message was stored before.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[2], 'turn', ARGV[2], 'attempts', 0)
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1])
if not redis.call('ZSCORE', KEYS[5], ARGV[4]) then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[4], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), ARGV[4])
end
return 1
