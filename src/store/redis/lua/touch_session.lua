-- Notes a renewal; neither date moves back. Commit point: the session's HASH.
-- KEYS 1 the session. ARGV 1 hand, 2 seen, 3 idle end.
local held = redis.call('HMGET', KEYS[1], 'seen', 'idle', 'revoked')
if not held[1] or held[3] then return 0 end
redis.call('HSET', KEYS[1], 'seen', whole(math.max(tonumber(held[1]), tonumber(ARGV[2]))),
  'idle', whole(math.max(tonumber(held[2]), tonumber(ARGV[3]))))
return 1
