-- The first key epoch of an empty Redis. Commit point: the standing.
-- KEYS 1 epochs, 2 version. ARGV 1 hand, 2 the channel, 3 the epoch's id.
if redis.call('LLEN', KEYS[1]) > 0 then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[3] .. ' ' .. whole(now) .. ' -')
-- A Redis that was emptied never counts where an earlier one counted.
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[2], order()) end
changed(KEYS[2], ARGV[2], 'k')
return 1
