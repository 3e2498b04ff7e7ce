-- One guess at the codes of one browser: counts it, or claims the code that was right. Commit point: the browser's HASH.
-- KEYS 1 the browser's codes. ARGV 1 hand, 2 tries, 3 session id, 4 how long to keep it (ms), 5 which of the codes
-- that follow is right (0: none), 6 whether somebody could confirm its link (1), 7… the codes.
-- Answers 'off' (no tries left), 'alone' (right, but nobody could confirm it: nothing is claimed), 'right', 'none'
-- (somebody else has it), or 'wrong' and the tries left.
local on, right = {}, false
for at = 7, #ARGV do
  local tries = tonumber(redis.call('HGET', KEYS[1], 'tries.' .. ARGV[at]) or 0)
  if tries < tonumber(ARGV[2]) then
    on[#on + 1] = {ARGV[at], tries}
    if at - 6 == tonumber(ARGV[5]) then right = ARGV[at] end
  end
end
if #on == 0 then return {'off', 0} end
if right and ARGV[6] ~= '1' then return {'alone', 0} end
ends_in(KEYS[1], ARGV[4])
if right then
  local claimed = 'claimed.' .. right
  if redis.call('HSETNX', KEYS[1], claimed, ARGV[3]) == 0 and redis.call('HGET', KEYS[1], claimed) ~= ARGV[3] then
    return {'none', 0}
  end
  ends_in(KEYS[1], ARGV[4])
  return {'right', 0}
end
local left = 0
for _, code in ipairs(on) do
  redis.call('HINCRBY', KEYS[1], 'tries.' .. code[1], 1)
  left = math.max(left, tonumber(ARGV[2]) - code[2] - 1)
end
ends_in(KEYS[1], ARGV[4])
return {'wrong', left}
