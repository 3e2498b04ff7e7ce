-- Keeps a link and its letter. Commit point: the link's HASH.
-- KEYS 1 the link. ARGV 1 hand, 2 its id, 3 how long to keep it after its end (ms), 4 its end or empty, 5… names and
-- values by turns. Answers 1, or 0 where another link has this key. Said twice, it is done once.
local id = redis.call('HGET', KEYS[1], 'id')
if id then return id == ARGV[2] and 1 or 0 end
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'created_at', whole(now), 'order', order(), unpack(ARGV, 5))
if redis.call('HEXISTS', KEYS[1], 'letter.id') == 1 then
  redis.call('HSET', KEYS[1], 'letter.state', '0', 'letter.attempts', '0', 'letter.next_at', whole(now),
    'letter.created_at', whole(now), 'letter.order', order())
end
if ARGV[4] ~= '' then
  ends_in(KEYS[1], tonumber(ARGV[4]) - now + tonumber(ARGV[3]))
end
return 1
