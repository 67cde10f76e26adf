-- Give a waiting turn another text; one that is being answered is begun again with it.
-- KEYS: job, claim, lease, ready, seen   ARGV: job id, conversation, turn as it was, turn as it shall be, dedupe seconds
-- Returns 1 when done, 0 when the job is not (or no longer) as it was.
if redis.call('HGET', KEYS[1], 'turn') ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], 'turn', ARGV[4], 'attempts', 0)
redis.call('SET', KEYS[5], '1', 'EX', ARGV[5]) -- it may have been a refusal, which is marked otherwise
redis.call('HDEL', KEYS[1], 'kept', 'verdict', 'stop')
if redis.call('HGET', KEYS[2], 'job') == ARGV[1] then
  local time = redis.call('TIME')
  redis.call('HINCRBY', KEYS[2], 'fence', 1)
  redis.call('HDEL', KEYS[2], 'job')
  redis.call('ZREM', KEYS[3], ARGV[2])
  redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
end
return 1
