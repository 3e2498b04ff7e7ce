-- Whether a link made this session. Reads only.
-- KEYS 1 the link. ARGV 1 hand, 2 session id.
local session = redis.call('HGET', KEYS[1], 'session')
return (session == ARGV[2] or redis.call('HEXISTS', KEYS[1], 'won.' .. ARGV[2]) == 1) and 1 or 0
