-- Begins a new key epoch. Commit point: the standing.
-- KEYS 1 epochs, 2 version, 3 fence. ARGV 1 hand, 2 the channel, 3 the new epoch's id, 4 until when older ones are
-- believed, or empty: no longer, and what was made before ends. Answers when it was created, and the fence before now.
local head = redis.call('LINDEX', KEYS[1], 0)
local fence = tonumber(redis.call('GET', KEYS[3]) or 0)
if head and head:match('^%S+') == ARGV[3] then
  -- Said twice: written again, so that a replica's word is asked for again.
  redis.call('LSET', KEYS[1], 0, head)
  return {head:match('^%S+ (%S+)'), ARGV[4] == '' and fence - 1 or fence}
end
local limit = ARGV[4] == '' and now or tonumber(ARGV[4])
for at, epoch in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local id, created, ends = epoch:match('^(%S+) (%S+) (%S+)$')
  if ends == '-' or tonumber(ends) > limit then ends = whole(limit) end
  redis.call('LSET', KEYS[1], at - 1, id .. ' ' .. created .. ' ' .. ends)
end
redis.call('LPUSH', KEYS[1], ARGV[3] .. ' ' .. whole(now) .. ' -')
if ARGV[4] == '' then redis.call('INCR', KEYS[3]) end
changed(KEYS[2], ARGV[2], 'k')
return {whole(now), fence}
