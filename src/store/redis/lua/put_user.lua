-- Adds or replaces a person; switching somebody off raises the generation. Commit point: the standing.
-- KEYS 1 people, 2 generations, 3 version. ARGV 1 hand, 2 the channel, 3 the person, 4 the profile: '0' or '1' (switched
-- off), then JSON. Answers the generation where it was raised, or 0.
local before = redis.call('HGET', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
local raised = 0
if ARGV[4]:sub(1, 1) == '1' and (not before or before:sub(1, 1) ~= '1') then
  raised = redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
end
changed(KEYS[3], ARGV[2], person(ARGV[3]))
return raised
