-- Ends sessions. Commit point: the standing.
-- KEYS 1 revoked, 2 version, 3 pulse. ARGV 1 hand, 2 the channel, 3… session ids and their absolute ends by turns.
-- Answers the ids that were ended now.
local ended, packed = {}, {}
for at = 3, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'NX', ARGV[at + 1], ARGV[at]) == 1 then
    ended[#ended + 1] = ARGV[at]
    packed[#packed + 1] = ARGV[at] .. string.format('%015.0f', tonumber(ARGV[at + 1]))
  end
end
-- A hundred in each note.
for at = 1, #packed, 100 do
  changed(KEYS[2], ARGV[2], '', table.concat(packed, '', at, math.min(at + 99, #packed)))
end
-- Always a write, so that a replica's word is asked for even where it was said before.
redis.call('SET', KEYS[3], whole(now))
return ended
