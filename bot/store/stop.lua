-- Have an answer stop: the one that a question waits for, the one that messages belong to, or the one under way.
-- KEYS: claim, posted, mailbox
-- ARGV: conversation, key prefix, ts of the stop, ts of the question ('' = not known), ts of Dolly's messages that were
--       being written then …
-- A stop that comes late must not end the answer that is under way by then. One that nobody is writing just now keeps
-- the mark for whoever claims it next.
-- Returns the job that shall stop, or nil.
local held = redis.call('HGET', KEYS[1], 'job')

local function stopped(id)
  local job = ARGV[2] .. 'job:' .. id
  if redis.call('EXISTS', job) == 0 then
    return nil
  end
  redis.call('HSET', job, 'stop', '1')
  if id == held then
    redis.call('HSET', KEYS[1], 'stop', '1')
  end
  return id
end

if ARGV[4] ~= '' then
  local first = stopped(ARGV[1] .. '/' .. ARGV[4])
  return stopped(ARGV[1] .. '/' .. ARGV[4] .. '~') or first
end
local owner
for i = 5, #ARGV do
  local found = redis.call('HGET', KEYS[2], ARGV[i])
  owner = found and found ~= '' and found or owner
end
if owner then
  return stopped(owner)
end
-- Where the messages are not known (yet): whoever asked after the stop does not mean this answer.
local id = held or redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if not id or not held and redis.call('HGET', ARGV[2] .. 'job:' .. id, 'claims') == '0' then
  return nil -- nobody has seen of it yet that it is answered
end
local ts, again = string.match(id, '([%d.]+)(~?)$')
local asked = tonumber(ts)
if again == '~' then
  asked = tonumber(redis.call('HGET', ARGV[2] .. 'job:' .. id, 'stored') or 0) / 1000
end
if asked and asked >= tonumber(ARGV[3]) then
  return nil
end
return stopped(id)
