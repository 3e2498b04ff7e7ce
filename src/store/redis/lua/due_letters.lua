-- Which letters are to be looked at now. Reads only.
-- KEYS 1 the index of letters. ARGV 1 hand, 2 how many to pass over, 3 how many at most.
-- Answers token hashes and scores by turns, oldest first.
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now), 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])
