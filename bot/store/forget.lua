-- Forget a conversation, and take it out of the hands of whoever is answering in it: the fence grows, so that
-- nothing of theirs can be committed.
-- KEYS: claim, mailbox, memory, changes, posted, ready, lease, waiting, threads, settle, dead, feedback
-- ARGV: conversation, key prefix, seconds that the fence is kept
-- Returns {exchanges, waiting turns, dead letters, pieces of feedback} that went.
local conversation, prefix = ARGV[1], ARGV[2]
-- A full store refuses a script whose first write asks for memory, and lets one go on that has written before.
redis.call('HDEL', KEYS[1], 'job', 'stop')
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'fence', 1)
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
for _, key in ipairs({KEYS[6], KEYS[7], KEYS[9]}) do
  redis.call('ZREM', key, conversation)
end

local jobs = redis.call('ZRANGE', KEYS[2], 0, -1)
for _, job in ipairs(jobs) do
  local user = redis.call('HGET', prefix .. 'job:' .. job, 'user')
  if user then
    redis.call('ZREM', prefix .. 'queue:' .. user, job)
  end
  redis.call('ZREM', KEYS[8], job)
  redis.call('DEL', prefix .. 'job:' .. job)
end

local exchanges = redis.call('LLEN', KEYS[3])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])

local letters = 0
for key, kind in pairs({[KEYS[10]] = 'settling:', [KEYS[11]] = 'letter:'}) do
  for _, job in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if string.sub(job, 1, #conversation + 1) == conversation .. '/' then
      redis.call('ZREM', key, job)
      redis.call('DEL', prefix .. kind .. job)
      letters = letters + (kind == 'letter:' and 1 or 0)
    end
  end
end

local opinions = redis.call('HKEYS', KEYS[12])
for _, opinion in ipairs(opinions) do
  local ts, rater = string.match(opinion, '^([^/]*)/[^/]*/(.*)$')
  redis.call('ZREM', prefix .. 'rated:' .. rater, conversation .. '/' .. ts)
end
redis.call('DEL', KEYS[12])
return {exchanges, #jobs, letters, #opinions}
