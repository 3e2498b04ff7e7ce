-- Takes one from a bucket, if there is one: the generic cell rate algorithm (ITU-T I.371, Annex A).
-- Commit point: the bucket, which holds when it will be full again, in microseconds, and ends by itself then.
-- KEYS 1 the bucket. ARGV 1 hand, 2 how many at once, 3 in how long they come back (microseconds). Answers 1 or 0.
local exact = tonumber(ARGV[1])
if exact then
  exact = exact * 1000
else
  local time = redis.call('TIME')
  exact = time[1] * 1000000 + time[2]
end
local per = tonumber(ARGV[3])
local step = math.floor(per / tonumber(ARGV[2]))
-- A clock that was set back must not shut a bucket for longer than it ever could be shut.
local full = tonumber(redis.call('GET', KEYS[1]) or exact)
full = math.min(math.max(full, exact), exact + per)
if full + step > exact + per then return 0 end
if step > 0 then
  redis.call('SET', KEYS[1], whole(full + step), 'PX', whole(math.ceil((full + step - exact) / 1000)))
end
return 1
