-- Forgets revocations past their absolute end, and key epochs that have not been believed for long.
-- KEYS 1 revoked, 2 epochs, 3 version. ARGV 1 hand, 2 the channel, 3 for how long, in milliseconds. Answers how many
-- epochs went.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. whole(now))
local gone = 0
for _, epoch in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local ends = epoch:match('(%S+)$')
  if ends ~= '-' and tonumber(ends) <= now - tonumber(ARGV[3]) then
    gone = gone + redis.call('LREM', KEYS[2], 1, epoch)
  end
end
if gone > 0 then changed(KEYS[3], ARGV[2], 'k') end
return gone
