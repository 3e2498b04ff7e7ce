-- Whether a person is as they were left, with a write behind it, so that a replica's word is asked for what was written
-- before. KEYS 1 people, 2 pulse. ARGV 1 hand, 2 the person, 3 the profile; empty: nobody. Answers 1 or 0.
redis.call('SET', KEYS[2], whole(now))
return (redis.call('HGET', KEYS[1], ARGV[2]) or '') == ARGV[3] and 1 or 0
