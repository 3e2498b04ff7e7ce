-- Notes an event. Commit point: the log, a stream in the order of the server's clock, which never goes back.
-- KEYS 1 the log. ARGV 1 hand, 2… names and values by turns. Answers the event's place.
local at, number = now, 0
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if last then
  local last_at, last_number = last[1]:match('^(%d+)-(%d+)$')
  last_at, last_number = tonumber(last_at), tonumber(last_number)
  if last_at >= at then at, number = last_at, last_number + 1 end
  -- A cursor has room for so many in a millisecond.
  if number >= 1048576 then at, number = at + 1, 0 end
end
return redis.call('XADD', KEYS[1], whole(at) .. '-' .. whole(number), unpack(ARGV, 2))
