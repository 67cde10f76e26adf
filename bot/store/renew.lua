-- Keep a claimed turn, and learn whether its user wants the answer to stop.
-- KEYS: claim, lease   ARGV: fence, job id, conversation, lease ms
-- Returns 0 when another worker has taken over, 1 when still held or ended by this one, 2 when held and to be stopped.
local held = redis.call('HMGET', KEYS[1], 'fence', 'job', 'stop', 'ended')
if held[4] == 'commit ' .. ARGV[1] or held[4] == 'fail ' .. ARGV[1] then
  return 1 -- ended by its own worker, which is about to learn so
end
local ends = redis.call('ZSCORE', KEYS[2], ARGV[3])
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or not ends then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Most calls only look: each write is a sync of the disk.
if ends - now < ARGV[4] * 2 / 3 then
  redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[3])
end
return held[3] and 2 or 1
