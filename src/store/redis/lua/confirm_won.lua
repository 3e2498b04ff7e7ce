-- Whether a link made this session. If so, it is written again, so that a replica's word is asked for again.
-- KEYS 1 the link. ARGV 1 hand, 2 session id. Answers 1 or 0.
local session = redis.call('HGET', KEYS[1], 'session')
if session ~= ARGV[2] and redis.call('HEXISTS', KEYS[1], 'won.' .. ARGV[2]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'session', session)
return 1
