-- Brings back key epochs that were lost, and ends those that had ended: united with what is there, newest first.
-- Commit point: the standing.
-- KEYS 1 epochs, 2 version, 3 pulse. ARGV 1 hand, 2 the channel, then three by three: id, created, until ('-': no end).
-- Answers how many were lost.
local held, found, lost = {}, {}, 0
for _, epoch in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local id, created, ends = epoch:match('^(%S+) (%S+) (%S+)$')
  held[#held + 1] = {id, created, ends}
  found[id] = held[#held]
end
for at = 3, #ARGV, 3 do
  local id, created, ends = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local epoch = found[id]
  if not epoch then
    held[#held + 1] = {id, created, ends}
    found[id] = held[#held]
    lost = lost + 1
  elseif ends ~= '-' and (epoch[3] == '-' or tonumber(ends) < tonumber(epoch[3])) then
    epoch[3] = ends
    lost = lost + 1
  end
end
if lost > 0 then
  local place = {}
  for at, epoch in ipairs(held) do place[epoch] = at end
  table.sort(held, function(one, other)
    local a, b = tonumber(one[2]), tonumber(other[2])
    if a ~= b then return a > b end
    return place[one] < place[other]
  end)
  redis.call('DEL', KEYS[1])
  for _, epoch in ipairs(held) do redis.call('RPUSH', KEYS[1], table.concat(epoch, ' ')) end
  -- A Redis that was emptied never counts where an earlier one counted.
  if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[2], order()) end
  changed(KEYS[2], ARGV[2], 'k')
end
redis.call('SET', KEYS[3], whole(now))
return lost
