-- Removes a person and raises the generation. Commit point: the standing.
-- KEYS 1 people, 2 generations, 3 version. ARGV 1 hand, 2 the channel, 3 the person.
-- Answers the new generation, or 0: nobody was there.
if redis.call('HDEL', KEYS[1], ARGV[3]) == 0 then return 0 end
local raised = redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
changed(KEYS[3], ARGV[2])
return raised
