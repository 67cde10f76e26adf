-- End a job that nobody has begun.
-- KEYS: job   ARGV: what people read of it
-- Returns 1 when done, 0 when it runs, has ended, or is gone.
if redis.call('HGET', KEYS[1], 'state') ~= 'queued' then
  return 0
end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'sentence', ARGV[1])
return 1
