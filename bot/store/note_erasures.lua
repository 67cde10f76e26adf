-- Note what was forgotten, and which erasures were carried out; also where the store is full.
-- KEYS: erasures, tombstone …   ARGV: for each tombstone when; then the ids of erasures
-- A full store refuses a script whose first write asks for memory, and lets one go on that has written before.
redis.call('PERSIST', KEYS[1])
for i = 2, #KEYS do
  local at = ARGV[i - 1]
  if tonumber(redis.call('GET', KEYS[i]) or 0) <= tonumber(at) then
    redis.call('SET', KEYS[i], at)
  end
end
for i = #KEYS, #ARGV do
  redis.call('SADD', KEYS[1], ARGV[i])
end
return 1
