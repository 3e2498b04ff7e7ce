-- Removes a session that its link did not make.
-- KEYS 1 the session. ARGV 1 hand.
if redis.call('HEXISTS', KEYS[1], 'link') == 1 then return redis.call('DEL', KEYS[1]) end
return 0
