-- Set fields of a hash where others of its fields are what they are expected to be.
-- KEYS: the hash
-- ARGV: how many fields are expected; each with its value; then the fields to set, each with its value
-- Returns 1 when they were set, 0 when something else is there by now.
local expected = tonumber(ARGV[1])
for i = 2, 2 * expected, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then
    return 0
  end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2 * expected + 2))
return 1
