-- Take calls of a budget that all replicas share: as many as may be made now, of those that are wanted.
-- KEYS: rate   ARGV: µs of a call, µs that calls may come early, of these µs that are left for others, calls wanted
--              (negative: given back), µs in which no call may be made ('0': as it is)
-- Returns {calls taken, µs until the next one may be, µs until the budget is full}.
-- The key holds when the budget would be full again, in µs of the server's time (the "theoretical arrival time" of the
-- generic cell rate algorithm); without it, it is.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each, early, wanted, held = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
if held > 0 then
  full = math.max(full, now + held + early)
end
local room = now + early - tonumber(ARGV[3]) - full
local calls = wanted
if wanted > 0 then
  calls = math.max(0, math.min(wanted, math.floor(room / each) + 1))
end
full = full + calls * each
if calls ~= 0 or held > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.max(1, math.ceil((full - now) / 1000)))
end
return {calls, math.max(0, math.ceil(calls * each - room)), full - now}
