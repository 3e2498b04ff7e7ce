-- What every script begins with. ARGV[1]: empty, or where a hand holds the clock (tests), milliseconds.

-- The moment that judges: this server's clock.
local function moment()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Orders what was made within one millisecond, even where a hand holds the clock.
local function order()
  local time = redis.call('TIME')
  return string.format('%.0f', time[1] * 1000000 + time[2])
end

local function whole(number)
  return string.format('%.0f', number)
end

local now = moment()
