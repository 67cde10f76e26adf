-- Note what was forgotten, and which erasures were carried out; also where the store is full.
-- KEYS: erasures, tombstone …   ARGV: for each tombstone when, and for how many seconds it is kept (0 = for ever);
--       then the ids of erasures
-- A full store refuses a script whose first write asks for memory, and lets one go on that has written before.
redis.call('PERSIST', KEYS[1])
for i = 2, #KEYS do
  local at, seconds = ARGV[2 * i - 3], ARGV[2 * i - 2]
  if tonumber(redis.call('GET', KEYS[i]) or 0) <= tonumber(at) then
    if seconds == '0' then
      redis.call('SET', KEYS[i], at)
    else
      redis.call('SET', KEYS[i], at, 'EX', seconds)
    end
  end
end
for i = 2 * #KEYS - 1, #ARGV do
  redis.call('SADD', KEYS[1], ARGV[i])
end
return 1
