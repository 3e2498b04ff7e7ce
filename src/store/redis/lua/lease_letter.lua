-- Gives a letter that is due, or whose lease ran out, to one sender; erases what came too late. Commit point: the link's
-- HASH. KEYS 1 the link. ARGV 1 hand, 2 the sender, 3 for how long (ms), or empty: only erase, 4 the fence.
-- Answers what was done (leased, erased, left), when to look at it again or empty: never, and a leased letter's fields.
local held = redis.call('HMGET', KEYS[1], 'letter.id', 'letter.sealed', 'letter.state', 'letter.next_at',
  'letter.expires_at', 'letter.error')
local ends = held[5] and tonumber(held[5])
if not held[1] or not held[2] then return {'left', ''} end
local function erase(why)
  redis.call('HDEL', KEYS[1], 'letter.sealed', 'letter.next_at')
  redis.call('HSET', KEYS[1], 'letter.state', '2', 'letter.finished_at', whole(now), 'letter.error', why)
  return {'erased', ''}
end
if state(KEYS[1], ARGV[4], now) == 'revoked' then return erase('the link was revoked') end
if ends and ends <= now then
  local error = held[6] or ''
  return erase('expired before it could be sent' .. (error ~= '' and '; ' .. error or ''))
end
if not held[4] then return {'left', held[5] or ''} end
local next_at = tonumber(held[4])
if next_at > now or ARGV[3] == '' then return {'left', whole(math.min(next_at, ends or next_at))} end
local till = now + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'letter.state', '1', 'letter.holder', ARGV[2], 'letter.next_at', whole(till))
redis.call('HINCRBY', KEYS[1], 'letter.attempts', 1)
return {'leased', whole(math.min(till, ends or till)), redis.call('HMGET', KEYS[1], 'letter.id', 'letter.site',
  'letter.sealed', 'letter.attempts', 'letter.created_at', 'letter.expires_at', 'letter.order')}
