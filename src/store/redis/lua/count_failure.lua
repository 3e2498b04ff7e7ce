-- Counts a wrong code against an address before anybody learns whether it was wrong; who was right takes it back.
-- KEYS 1 the address's ZSET. ARGV 1 hand, 2 a name for this try, 3 how many a day, 4 a day (ms).
-- Answers 1, or 0: too many already.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now - tonumber(ARGV[4])))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], whole(now), ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
