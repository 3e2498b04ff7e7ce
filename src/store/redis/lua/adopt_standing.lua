-- Puts what an import has laid ready in force, all of it at once. Commit point: the standing.
-- KEYS 1 epochs, 2 people, 3 generations, 4 revoked, then what was laid ready for each of them in this order (5 … 8),
-- 9 version, 10 the note that an import is under way. ARGV 1 hand, 2 the channel, 3 the import's name.
-- Answers 1, or 0: this import is not the one that is under way. Said twice, it is done once.
local held = redis.call('GET', KEYS[10])
if held == 'done ' .. ARGV[3] then
  -- Written again, so that a replica's word is asked for again.
  redis.call('SET', KEYS[10], held)
  return 1
end
if held ~= ARGV[3] or redis.call('EXISTS', KEYS[5]) == 0 then return 0 end
-- What is refused here already stays refused, for as long as either says.
if redis.call('EXISTS', KEYS[4]) == 1 then
  redis.call('ZUNIONSTORE', KEYS[8], 2, KEYS[4], KEYS[8], 'AGGREGATE', 'MAX')
end
for at = 1, 4 do
  redis.call('DEL', KEYS[at])
  if redis.call('EXISTS', KEYS[at + 4]) == 1 then redis.call('RENAME', KEYS[at + 4], KEYS[at]) end
end
if redis.call('EXISTS', KEYS[9]) == 0 then redis.call('SET', KEYS[9], order()) end
redis.call('PUBLISH', ARGV[2], redis.call('INCR', KEYS[9]))
redis.call('SET', KEYS[10], 'done ' .. ARGV[3])
return 1
