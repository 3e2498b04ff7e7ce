-- Moves entries of the index of letters to where their letters say, unless somebody has moved them meanwhile.
-- KEYS 1 the index. ARGV 1 hand, then three by three: token hash, the score that was seen, the new one or empty: none.
for at = 2, #ARGV, 3 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[at])
  if score and tonumber(score) == tonumber(ARGV[at + 1]) then
    if ARGV[at + 2] == '' then
      redis.call('ZREM', KEYS[1], ARGV[at])
    else
      redis.call('ZADD', KEYS[1], ARGV[at + 2], ARGV[at])
    end
  end
end
return 1
