-- Writes a session that counts only once its link says so: the field `link` names it.
-- KEYS 1 the session. ARGV 1 hand, 2 the link's token hash, 3 absolute end, 4… names and values by turns.
-- Answers 1, or 0 where the id is taken. Said twice, it is done once.
local held = redis.call('HMGET', KEYS[1], 'site', 'link')
if held[1] then return held[2] == ARGV[2] and 1 or 0 end
redis.call('HSET', KEYS[1], 'link', ARGV[2], 'created', whole(now), 'seen', whole(now), 'ends', ARGV[3],
  unpack(ARGV, 4))
ends_in(KEYS[1], tonumber(ARGV[3]) - now + 60000)
return 1
