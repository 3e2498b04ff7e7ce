-- What every script begins with. ARGV[1]: empty, or where a hand holds the clock (tests), milliseconds; or `nothing`: a
-- write is only to be pretended, on a key of its own that is gone at once.
if ARGV[1] == 'nothing' then
  redis.call('SET', KEYS[1], '', 'PX', 1)
  return 1
end

-- The moment that judges: this server's clock.
local function moment()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Has a key end by itself, soon or in a century, but never beyond what Redis takes.
local function ends_in(key, millis)
  redis.call('PEXPIRE', key, whole(math.max(1, math.min(tonumber(millis), 4e12))))
end

-- Orders what was made within one millisecond, even where a hand holds the clock.
local function order()
  local time = redis.call('TIME')
  return whole(time[1] * 1000000 + time[2])
end

-- What has become of a link, and the same again: revoked, used, expired or active. `fence`: links of an earlier one
-- ended with it, but what was used or expired stays so.
local function state(link, fence, now)
  local held = redis.call('HMGET', link, 'id', 'revoked_at', 'uses_left', 'expires_at', 'fence')
  if not held[1] then return 'unknown' end
  if held[2] then return 'revoked' end
  if held[3] and tonumber(held[3]) <= 0 then return 'used' end
  if held[4] and tonumber(held[4]) <= now then return 'expired' end
  if tonumber(held[5] or 0) < tonumber(fence) then return 'revoked' end
  return 'active'
end

-- Counts a change of the standing, notes it, and says it to whoever listens. `what` has changed, and nothing else: a person
-- (see `person`), 'k' the key epochs; or `ended`: these sessions have ended, packed. None of them: everything must be read.
-- The notes lie beside the version, in its slot and under its name; there are as many as an instance may miss without
-- reading everything.
local function changed(version, channel, what, ended)
  local number = whole(redis.call('INCR', version))
  local notes = version .. ':notes'
  redis.call('ZADD', notes, number, number .. ' ' .. order() .. (what or '') .. ' ' .. (ended or ''))
  redis.call('ZREMRANGEBYRANK', notes, 0, -1001)
  redis.call('PUBLISH', channel, number)
end

-- A person, as notes name them: without blanks.
local function person(field)
  return 'p' .. field:gsub('.', function(byte) return string.format('%02x', byte:byte()) end)
end

local now = moment()
