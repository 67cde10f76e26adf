-- Replace entries of a memory, or take them out ('' as the new value), where they still are as they were read.
-- KEYS: memory   ARGV: old, new, old, new …
-- Returns how many were replaced.
-- A full store refuses a script whose first write asks for memory, and lets one go on that has written before.
redis.call('LREM', KEYS[1], 1, '')
local done = 0
for i = 1, #ARGV, 2 do
  for index, entry in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    if entry == ARGV[i] then
      if ARGV[i + 1] == '' then
        redis.call('LREM', KEYS[1], 1, entry)
      else
        redis.call('LSET', KEYS[1], index - 1, ARGV[i + 1])
      end
      done = done + 1
      break
    end
  end
end
return done
