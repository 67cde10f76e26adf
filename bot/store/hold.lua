-- Set fields of a hash that ends by itself.
-- KEYS: hash   ARGV: seconds, field, value, field, value …
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
