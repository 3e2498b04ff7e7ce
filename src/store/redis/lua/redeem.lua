-- Spends one use of a link and notes the session that it made. Commit point: the link's HASH.
-- KEYS 1 the link. ARGV 1 hand, 2 session id, 3 fence, 4 how long to keep a link that is used up (ms).
-- Answers what became of it, and the link's fields. Said twice by one session, it is done once.
local won = 'won.' .. ARGV[2]
if redis.call('HEXISTS', KEYS[1], won) == 1 or redis.call('HGET', KEYS[1], 'session') == ARGV[2] then
  -- Written again, so that a replica's word is asked for again.
  redis.call('HSET', KEYS[1], 'used_at', redis.call('HGET', KEYS[1], 'used_at'))
  return {'redeemed', redis.call('HMGET', KEYS[1], unpack(FIELDS))}
end
local found = state(KEYS[1], ARGV[3], now)
if found == 'active' then
  redis.call('HSET', KEYS[1], 'used_at', whole(now), 'session', ARGV[2], won, whole(now))
  if redis.call('HEXISTS', KEYS[1], 'uses_left') == 1
    and redis.call('HINCRBY', KEYS[1], 'uses_left', -1) <= 0 then
    ends_in(KEYS[1], ARGV[4])
  end
  found = 'redeemed'
end
return {found, redis.call('HMGET', KEYS[1], unpack(FIELDS))}
