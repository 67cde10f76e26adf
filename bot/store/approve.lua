-- Add a person to those who have approved.
-- KEYS: the approvals
-- ARGV: what is approved, who approves it
-- Returns all who have, as a JSON list.
local found = redis.call('HGET', KEYS[1], ARGV[1])
local people = found and cjson.decode(found) or {}
for _, person in ipairs(people) do
  if person == ARGV[2] then
    return found
  end
end
table.insert(people, ARGV[2])
local all = cjson.encode(people)
redis.call('HSET', KEYS[1], ARGV[1], all)
return all
