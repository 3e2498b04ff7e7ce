-- Notes a member in an index that cleans itself and ends with its last member.
-- KEYS 1 the index. ARGV 1 hand, 2 the member, 3 until when, or 'inf'.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. whole(now))
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
local last = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
if last < math.huge then
  ends_in(KEYS[1], last - now + 60000)
else
  redis.call('PERSIST', KEYS[1])
end
return 1
