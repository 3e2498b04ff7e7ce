-- The relay has a letter: its body is erased. Commit point: the link's HASH.
-- KEYS 1 the link. ARGV 1 hand, 2 the letter's id, 3 the sender. Answers the moment, or nothing: no such letter.
if redis.call('HGET', KEYS[1], 'letter.id') ~= ARGV[2] then return false end
redis.call('HDEL', KEYS[1], 'letter.sealed', 'letter.next_at', 'letter.error')
redis.call('HSET', KEYS[1], 'letter.state', '3', 'letter.holder', ARGV[3], 'letter.finished_at', whole(now))
return whole(now)
