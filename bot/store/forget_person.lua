-- Forget one person in a conversation: their questions and the answers to them, their waiting turns, their dead
-- letters, what they thought of answers, and what others thought of the answers to them.
-- Whoever is answering in it just now loses the turn, and another person's is begun again: what they said may
-- have been read in Slack's thread.
-- KEYS: claim, mailbox, memory, changes, ready, lease, waiting, threads, dead, queue of the person, person, feedback
-- ARGV: conversation, person, key prefix
-- Returns {exchanges, waiting turns, dead letters, pieces of feedback} that went, and how many exchanges of others still
-- quote the person.
local conversation, person, prefix = ARGV[1], ARGV[2], ARGV[3]
-- A full store refuses a script whose first write asks for memory, and lets one go on that has written before.
redis.call('ZREM', KEYS[11], conversation)
local exchanges, quoting = 0, 0
for _, entry in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  local people = ',' .. (string.match(entry, '^[^|]*|[^|]*|([^|]*)|') or '') .. ','
  local at = string.find(people, ',' .. person .. ',', 1, true)
  if at == 1 then -- the asker stands first
    redis.call('LREM', KEYS[3], 1, entry)
    exchanges = exchanges + 1
  elseif at then
    quoting = quoting + 1
  end
end

for _, job in ipairs(redis.call('ZRANGE', prefix .. 'settle', 0, -1)) do
  if string.sub(job, 1, #conversation + 1) == conversation .. '/' and
      redis.call('HGET', prefix .. 'settling:' .. job, 'user') == person then
    redis.call('ZREM', prefix .. 'settle', job)
    redis.call('DEL', prefix .. 'settling:' .. job)
  end
end

local turns, others = 0, {}
for _, job in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if redis.call('HGET', prefix .. 'job:' .. job, 'user') == person then
    redis.call('DEL', prefix .. 'job:' .. job)
    for _, key in ipairs({KEYS[2], KEYS[7], KEYS[10]}) do
      redis.call('ZREM', key, job)
    end
    turns = turns + 1
  else
    others[#others + 1] = job
  end
end

local letters = 0
for _, job in ipairs(redis.call('ZRANGE', KEYS[9], 0, -1)) do
  local letter = prefix .. 'letter:' .. job
  if string.sub(job, 1, #conversation + 1) == conversation .. '/' and redis.call('HGET', letter, 'user') == person then
    redis.call('ZREM', KEYS[9], job)
    redis.call('DEL', letter)
    letters = letters + 1
  end
end

local opinions = 0
for _, opinion in ipairs(redis.call('HKEYS', KEYS[12])) do
  local ts, asker, rater = string.match(opinion, '^([^/]*)/([^/]*)/(.*)$')
  if asker == person or rater == person then
    redis.call('HDEL', KEYS[12], opinion)
    redis.call('ZREM', prefix .. 'rated:' .. rater, conversation .. '/' .. ts)
    opinions = opinions + 1
  end
end

for _, job in ipairs(others) do
  redis.call('HDEL', prefix .. 'job:' .. job, 'kept') -- a finished answer, perhaps with their words before it
end
local job = redis.call('HGET', KEYS[1], 'job')
if job then
  redis.call('HINCRBY', KEYS[1], 'fence', 1)
  redis.call('HDEL', KEYS[1], 'job', 'stop')
  redis.call('DEL', KEYS[4])
  redis.call('ZREM', KEYS[6], conversation)
  if redis.call('EXISTS', prefix .. 'job:' .. job) == 1 then
    redis.call('HINCRBY', prefix .. 'job:' .. job, 'attempts', -1)
  end
  if #others > 0 then
    local time = redis.call('TIME')
    redis.call('ZADD', KEYS[5], time[1] * 1000 + math.floor(time[2] / 1000), conversation)
  end
end
if #others == 0 then
  redis.call('ZREM', KEYS[5], conversation)
  if redis.call('EXISTS', KEYS[3]) == 0 then
    redis.call('DEL', KEYS[4])
    redis.call('ZREM', KEYS[8], conversation)
  end
end
return {exchanges, turns, letters, opinions, quoting}
