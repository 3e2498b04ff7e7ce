-- The one fresh letter of a link that is used or expired. Commit point: the link's HASH.
-- KEYS 1 the link. ARGV 1 hand, 2 fence. Answers the link's fields, or nothing.
local found = state(KEYS[1], ARGV[2], now)
if found ~= 'used' and found ~= 'expired' then return false end
if redis.call('HSETNX', KEYS[1], 'again_used', '1') == 0 then return false end
return redis.call('HMGET', KEYS[1], unpack(FIELDS))
