-- Have the answer under way stop, if it is the one that its reader stopped.
-- KEYS: claim, posted   ARGV: ts of the stop, ts of Dolly's messages that were being written then …
-- A stop that comes late must not end the answer that is under way by then.
-- Returns 1 when it shall stop.
local job = redis.call('HGET', KEYS[1], 'job')
if not job then
  return 0
end
local owner
for i = 2, #ARGV do
  local found = redis.call('HGET', KEYS[2], ARGV[i])
  owner = found and found ~= '' and found or owner
end
if owner and owner ~= job then
  return 0
end
-- Where the messages are not known (yet): whoever asked after the stop does not mean this answer.
local asked = tonumber(string.match(job, '[^/]+$'))
if not owner and asked and asked >= tonumber(ARGV[1]) then
  return 0
end
redis.call('HSET', KEYS[1], 'stop', '1')
return 1
