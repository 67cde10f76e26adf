-- Finish a claimed turn: remember the exchange, drop the job (or bury it), free the conversation for its next turn.
-- KEYS: claim, mailbox, job, ready, lease, memory, changes, waiting, queue of the user, threads, settle, settling, dead,
--       person …
-- ARGV: fence, job id, conversation, entry ('' = nothing to remember), memory seconds (0 = for ever), memory tokens,
--       memory bytes, ms until the thread is read again, question's ts, reason ('' = answered), dead letters kept, prefix,
--       what the answer's messages say (sealed), 0 where the thread is to be read again whoever claimed the turn before
-- Returns 0 when another worker has taken over, 1 when committed, 2 when committed and `changes` are to be applied.
local held = redis.call('HMGET', KEYS[1], 'fence', 'job', 'ended')
if held[3] == 'commit ' .. ARGV[1] then
  return 1 -- by this very call, whose reply was lost
end
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or not redis.call('ZSCORE', KEYS[5], ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[1], 'ended', 'commit ' .. ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seconds = tonumber(ARGV[5])

local function tokens_of(entry)
  return tonumber(string.match(entry, '^(%d+)|') or 0)
end

-- Of a question that was answered once more, the new answer takes the old one's place; one whose old answer is not
-- remembered any more is older than all that is.
local is_repeated = string.sub(ARGV[2], -1) == '~'
local function replace()
  for i, entry in ipairs(redis.call('LRANGE', KEYS[6], 0, -1)) do
    if string.match(entry, '^%d+|([^|]*)|') == ARGV[9] then
      redis.call('LSET', KEYS[6], i - 1, ARGV[4])
    end
  end
  local all, tokens, bytes = redis.call('LRANGE', KEYS[6], 0, -1), 0, 0
  for i = #all, 1, -1 do
    tokens, bytes = tokens + tokens_of(all[i]), bytes + #all[i]
    if tokens > tonumber(ARGV[6]) or bytes > tonumber(ARGV[7]) then
      redis.call('LTRIM', KEYS[6], i, -1)
      break
    end
  end
end

if ARGV[4] ~= '' then
  local tokens, bytes = tokens_of(ARGV[4]), #ARGV[4]
  if is_repeated then
    replace()
  elseif tokens <= tonumber(ARGV[6]) and bytes <= tonumber(ARGV[7]) then
    -- One that is too long by itself is not remembered; what came before it still is.
    local before, kept = redis.call('LRANGE', KEYS[6], 0, -1), 0
    for i = #before, 1, -1 do
      tokens, bytes = tokens + tokens_of(before[i]), bytes + #before[i]
      if tokens > tonumber(ARGV[6]) or bytes > tonumber(ARGV[7]) then
        break
      end
      kept = kept + 1
    end
    redis.call('RPUSH', KEYS[6], ARGV[4])
    redis.call('LTRIM', KEYS[6], -1 - kept, -1)
  end
  redis.call('ZADD', KEYS[10], now, ARGV[3])
  for i = 14, #KEYS do
    redis.call('ZADD', KEYS[i], now, ARGV[3])
  end
  if seconds > 0 then
    redis.call('EXPIRE', KEYS[6], seconds)
    redis.call('ZREMRANGEBYSCORE', KEYS[10], '-inf', now - seconds * 1000)
    redis.call('EXPIRE', KEYS[10], seconds)
    for i = 14, #KEYS do
      redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - seconds * 1000)
      redis.call('EXPIRE', KEYS[i], seconds)
    end
  else
    redis.call('PERSIST', KEYS[6])
    redis.call('PERSIST', KEYS[10])
    for i = 14, #KEYS do
      redis.call('PERSIST', KEYS[i])
    end
  end
end

local job = redis.call('HMGET', KEYS[3], 'claims', 'posts', 'shape', 'turn', 'user')
local is_taken_over = tonumber(job[1] or 0) > 1 and job[3]
if (is_taken_over or ARGV[14] == '0') and job[3] ~= 'ephemeral' then
  redis.call('ZADD', KEYS[11], now + ARGV[8], ARGV[2])
  redis.call('HSET', KEYS[12], 'conversation', ARGV[3], 'ts', ARGV[9], 'posts', job[2] or '', 'shown', ARGV[13],
    'user', job[5] or '')
  redis.call('EXPIRE', KEYS[12], 86400)
end
if ARGV[10] ~= '' then
  redis.call('ZADD', KEYS[13], now, ARGV[2])
  redis.call('HSET', ARGV[12] .. 'letter:' .. ARGV[2], 'reason', ARGV[10], 'user', job[5] or '', 'turn', job[4] or '')
  if seconds > 0 then
    redis.call('EXPIRE', ARGV[12] .. 'letter:' .. ARGV[2], seconds)
  end
  for _, oldest in ipairs(redis.call('ZRANGE', KEYS[13], 0, -1 - ARGV[11])) do
    redis.call('DEL', ARGV[12] .. 'letter:' .. oldest)
    redis.call('ZREM', KEYS[13], oldest)
  end
end

redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[8], ARGV[2])
redis.call('ZREM', KEYS[9], ARGV[2])
redis.call('DEL', KEYS[3])
redis.call('HDEL', KEYS[1], 'job')
redis.call('ZREM', KEYS[5], ARGV[3])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('ZADD', KEYS[4], now, ARGV[3])
end
return 1 + redis.call('EXISTS', KEYS[7])
