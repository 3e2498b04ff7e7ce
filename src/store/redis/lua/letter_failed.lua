-- A letter was not taken: again later, or dead. Counts only while its sender still holds it. Commit point: the link's
-- HASH. KEYS 1 the link. ARGV 1 hand, 2 the letter's id, 3 the sender, 4 why, 5 when again, or empty: never.
-- Answers the moment and when to look at it again, or empty: never; nothing where somebody else holds it.
local held = redis.call('HMGET', KEYS[1], 'letter.id', 'letter.holder', 'letter.state', 'letter.expires_at')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3] ~= '1' then return false end
redis.call('HDEL', KEYS[1], 'letter.holder')
redis.call('HSET', KEYS[1], 'letter.error', ARGV[4])
local ends = held[4] and tonumber(held[4])
if ARGV[5] == '' then
  redis.call('HDEL', KEYS[1], 'letter.next_at')
  redis.call('HSET', KEYS[1], 'letter.state', '2', 'letter.finished_at', whole(now))
  return {whole(now), ends and whole(ends) or ''}
end
redis.call('HSET', KEYS[1], 'letter.state', '0', 'letter.next_at', ARGV[5])
local again = tonumber(ARGV[5])
return {whole(now), whole(math.min(again, ends or again))}
