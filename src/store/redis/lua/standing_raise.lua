-- Raises a person's generation by one. Commit point: the standing.
-- KEYS 1 generations, 2 version. ARGV 1 hand, 2 the channel, 3 the person. Answers the new one.
local raised = redis.call('HINCRBY', KEYS[1], ARGV[3], 1)
redis.call('PUBLISH', ARGV[2], redis.call('INCR', KEYS[2]))
return raised
