-- Makes a dead letter that still has its body due now. Commit point: the link's HASH.
-- KEYS 1 the link. ARGV 1 hand, 2 the letter's id, 3 the fence. Answers when it is due, or nothing.
local held = redis.call('HMGET', KEYS[1], 'letter.id', 'letter.state', 'letter.sealed', 'letter.expires_at')
if held[1] ~= ARGV[2] or held[2] ~= '2' or not held[3] then return false end
if held[4] and tonumber(held[4]) <= now then return false end
if state(KEYS[1], ARGV[3], now) == 'revoked' then return false end
redis.call('HDEL', KEYS[1], 'letter.finished_at')
redis.call('HSET', KEYS[1], 'letter.state', '0', 'letter.next_at', whole(now))
return whole(now)
