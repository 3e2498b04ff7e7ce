-- Raises a person's generation to a number that was given out already, where it is lower. Commit point: the standing.
-- KEYS 1 generations, 2 version, 3 pulse. ARGV 1 hand, 2 the channel, 3 the person, 4 the number. Answers 1 where it was
-- lower.
local lower = 0
if tonumber(redis.call('HGET', KEYS[1], ARGV[3]) or 0) < tonumber(ARGV[4]) then
  lower = 1
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
  changed(KEYS[2], ARGV[2], person(ARGV[3]))
end
-- Always a write, so that a replica's word is asked for even where it was said before.
redis.call('SET', KEYS[3], whole(now))
return lower
