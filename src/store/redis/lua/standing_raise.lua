-- Raises a person's generation by one. Commit point: the standing.
-- KEYS 1 generations, 2 version. ARGV 1 hand, 2 the channel, 3 the person. Answers the new one.
local raised = redis.call('HINCRBY', KEYS[1], ARGV[3], 1)
changed(KEYS[2], ARGV[2], person(ARGV[3]))
return raised
