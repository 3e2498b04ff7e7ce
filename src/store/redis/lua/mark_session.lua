-- Notes in the listing that a session has ended; that it has, the standing says already.
-- KEYS 1 the session. ARGV 1 hand.
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSETNX', KEYS[1], 'revoked', whole(now)) end
return 1
