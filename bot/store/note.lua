-- Write down, under the fence, how far an answer has come.
-- KEYS: claim, lease, job, posted
-- ARGV: fence, job id, conversation, field, value, seconds that a post is remembered, posts that are kept of a conversation
-- Field "post" adds a message of Dolly's own to the job's posts, and "gone" disowns one that is to be taken back: it stays
-- there, so that whoever takes over knows of it. Any other is a field of the job, and '' takes it out.
-- Returns 1 when written, 0 when another worker has taken over, 2 when the message is another job's, or being taken back.
local held = redis.call('HMGET', KEYS[1], 'fence', 'job')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] or not redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  return 0
end

local function remember(ts, owner)
  redis.call('HSET', KEYS[4], ts, owner)
  redis.call('EXPIRE', KEYS[4], ARGV[6])
  local oldest_first = redis.call('HKEYS', KEYS[4])
  if #oldest_first > tonumber(ARGV[7]) then
    table.sort(oldest_first) -- all are as long as Slack's ts is
    for i = 1, #oldest_first - math.floor(ARGV[7] / 2) do
      redis.call('HDEL', KEYS[4], oldest_first[i])
    end
  end
end

if ARGV[4] == 'gone' then
  remember(ARGV[5], '')
  return 1
end
if ARGV[4] ~= 'post' then
  if ARGV[5] == '' then
    redis.call('HDEL', KEYS[3], ARGV[4])
  else
    redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
  end
  return 1
end
local owner = redis.call('HGET', KEYS[4], ARGV[5])
if owner then
  return owner == ARGV[2] and 1 or 2
end
local posts = redis.call('HGET', KEYS[3], 'posts')
redis.call('HSET', KEYS[3], 'posts', posts and (posts .. ' ' .. ARGV[5]) or ARGV[5])
remember(ARGV[5], ARGV[2])
return 1
