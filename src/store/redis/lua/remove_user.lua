-- Removes a person and raises the generation. Commit point: the standing.
-- KEYS 1 people, 2 generations, 3 version, 4 pulse. ARGV 1 hand, 2 the channel, 3 the person.
-- Answers the new generation, or 0: nobody was there.
-- Always a write, so that a replica's word is asked for even where nobody was there any more.
redis.call('SET', KEYS[4], whole(now))
if redis.call('HDEL', KEYS[1], ARGV[3]) == 0 then return 0 end
local raised = redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
changed(KEYS[3], ARGV[2], person(ARGV[3]))
return raised
