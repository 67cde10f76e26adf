-- Take back a turn whose message was deleted; an answer under way loses its lease, so that it cannot be committed.
-- KEYS: job, claim, lease, ready, mailbox, waiting, queue of the user   ARGV: job id, conversation
-- Returns 1 when there was such a turn.
if redis.call('DEL', KEYS[1]) == 0 then
  return 0
end
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
if redis.call('HGET', KEYS[2], 'job') == ARGV[1] then
  redis.call('HINCRBY', KEYS[2], 'fence', 1)
  redis.call('HDEL', KEYS[2], 'job')
  redis.call('ZREM', KEYS[3], ARGV[2])
  if redis.call('EXISTS', KEYS[5]) == 1 then
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[4], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[2])
  end
end
return 1
