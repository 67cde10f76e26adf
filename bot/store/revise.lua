-- Give a waiting turn another text; one that is being answered is begun again with it. A refusal that is not told yet is
-- taken back instead: its message may be asked as if it had just come.
-- KEYS: job, claim, lease, ready, seen, mailbox, waiting, queue of the user
-- ARGV: job id, conversation, turn as it was, turn as it shall be, dedupe seconds
-- Returns 1 when done, 2 when it was a refusal, 0 when the job is not (or no longer) as it was.
if redis.call('HGET', KEYS[1], 'turn') ~= ARGV[3] then
  return 0
end
local is_refusal = tonumber(redis.call('ZSCORE', KEYS[6], ARGV[1])) == 0
if is_refusal then
  redis.call('DEL', KEYS[1], KEYS[5])
  for i = 6, 8 do
    redis.call('ZREM', KEYS[i], ARGV[1])
  end
else
  redis.call('HSET', KEYS[1], 'turn', ARGV[4], 'attempts', 0, 'anew', 1)
  redis.call('SET', KEYS[5], '1', 'EX', ARGV[5])
  redis.call('HDEL', KEYS[1], 'kept', 'verdict', 'stop')
end
if redis.call('HGET', KEYS[2], 'job') == ARGV[1] then
  local time = redis.call('TIME')
  redis.call('HINCRBY', KEYS[2], 'fence', 1)
  redis.call('HDEL', KEYS[2], 'job')
  redis.call('ZREM', KEYS[3], ARGV[2])
  redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
end
return is_refusal and 2 or 1
