-- Compares a typed address, and counts a wrong one. Commit point: the link's HASH.
-- KEYS 1 the link. ARGV 1 hand, 2 the address, or empty: count at once; 3 tries.
-- Answers what became of it ('off', 'right', 'wrong') and the count of wrong ones.
local held = redis.call('HMGET', KEYS[1], 'id', 'email', 'wrong_tries')
local tries = tonumber(held[3] or 0)
if not held[1] then return {'off', ARGV[3]} end
if ARGV[2] ~= '' then
  if tries >= tonumber(ARGV[3]) then return {'off', tries} end
  if held[2] == ARGV[2] then return {'right', tries} end
end
return {'wrong', redis.call('HINCRBY', KEYS[1], 'wrong_tries', 1)}
