-- Own the engine for a while: where nobody does, or whoever is expected to.
-- KEYS: the owner
-- ARGV: the owner as it is from now on, for so many seconds; those who may be replaced
-- Returns 1, or 0 where another owns it.
local held = redis.call('GET', KEYS[1])
local may = not held
for i = 3, #ARGV do
  may = may or held == ARGV[i]
end
if not may then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
