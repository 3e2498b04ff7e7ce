-- Takes a link back that still lets in, with the letter that waits to carry it. Commit point: the link's HASH.
-- KEYS 1 the link. ARGV 1 hand, 2 the fence that links are judged by, 3 how long to keep it (ms), 4 only links of an
-- earlier fence than this; empty: any. Answers 1 where it was taken back now.
if ARGV[4] ~= '' and tonumber(redis.call('HGET', KEYS[1], 'fence') or 0) >= tonumber(ARGV[4]) then return 0 end
if state(KEYS[1], ARGV[2], now) ~= 'active' then
  -- Written again, so that a replica's word is asked for again.
  local at = redis.call('HGET', KEYS[1], 'revoked_at')
  if at then redis.call('HSET', KEYS[1], 'revoked_at', at) end
  return 0
end
redis.call('HSET', KEYS[1], 'revoked_at', whole(now))
ends_in(KEYS[1], ARGV[3])
if redis.call('HEXISTS', KEYS[1], 'letter.sealed') == 1 then
  redis.call('HDEL', KEYS[1], 'letter.sealed', 'letter.next_at')
  redis.call('HSET', KEYS[1], 'letter.state', '2', 'letter.finished_at', whole(now),
    'letter.error', 'the link was revoked')
end
return 1
