-- Notes the count of wrong codes in a link, for listings.
-- KEYS 1 the link. ARGV 1 hand, 2 the count.
local held = redis.call('HMGET', KEYS[1], 'id', 'code_tries')
if held[1] and tonumber(held[2] or 0) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'code_tries', ARGV[2]) end
return 1
