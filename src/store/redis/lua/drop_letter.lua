-- Removes a letter, in whatever state. Commit point: the link's HASH.
-- KEYS 1 the link. ARGV 1 hand, 2 the letter's id, 3 not before it was done with for so long (ms), or empty: at once.
-- Answers 1 where it was there, or was removed before by somebody whom no replica had confirmed.
local held = redis.call('HMGET', KEYS[1], 'letter.id', 'letter.finished_at', 'id')
if ARGV[3] == '' and held[3] and not held[1] then
  -- Written again, so that a replica's word is asked for again.
  redis.call('HSET', KEYS[1], 'id', held[3])
  return 1
end
if held[1] ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' and (not held[2] or tonumber(held[2]) > now - tonumber(ARGV[3])) then return 0 end
redis.call('HDEL', KEYS[1], 'letter.id', 'letter.site', 'letter.email', 'letter.sealed', 'letter.state',
  'letter.attempts', 'letter.next_at', 'letter.holder', 'letter.error', 'letter.created_at', 'letter.expires_at',
  'letter.finished_at', 'letter.order')
return 1
