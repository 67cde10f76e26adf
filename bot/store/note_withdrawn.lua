-- Note which records a trainer was given and should not have any more; also where the store is full.
-- KEYS: withdrawn   ARGV: record ids
-- A full store refuses a script whose first write asks for memory, and lets one go on that has written before.
redis.call('PERSIST', KEYS[1])
for _, record in ipairs(ARGV) do
  redis.call('SADD', KEYS[1], record)
end
return 1
