-- What has changed since a version. Reads only.
-- KEYS 1 version. ARGV 1 hand, 2 the version that was seen, or empty, 3 its note.
-- Answers the version, its note, and where all that lies between is told: the sessions that have ended, packed, the people
-- that have changed, in hexadecimal, and 1 where the key epochs have. A version whose note is another's is of another
-- history: a backup, or a master that was lost.
local version = redis.call('GET', KEYS[1])
if not version then return {0, '', false} end
local notes = KEYS[1] .. ':notes'
local note = redis.call('ZRANGEBYSCORE', notes, version, version)[1] or ''
if ARGV[2] == '' or ARGV[3] == '' then return {tonumber(version), note, false} end
if redis.call('ZRANGEBYSCORE', notes, ARGV[2], ARGV[2])[1] ~= ARGV[3] then return {tonumber(version), note, false} end
local between = redis.call('ZRANGEBYSCORE', notes, '(' .. ARGV[2], version)
if #between ~= tonumber(version) - tonumber(ARGV[2]) then return {tonumber(version), note, false} end
local ended, people, epochs = {}, {}, 0
for at, change in ipairs(between) do
  local first = change:find(' ', 1, true)
  local second = change:find(' ', first + 1, true)
  local what = change:sub(first + 1, second - 1):match('%a.*$') or ''
  ended[at] = change:sub(second + 1)
  if what:sub(1, 1) == 'p' then
    people[#people + 1] = what:sub(2)
  elseif what == 'k' then
    epochs = 1
  elseif what ~= '' or ended[at] == '' then
    return {tonumber(version), note, false}
  end
end
return {tonumber(version), note, table.concat(ended), people, epochs}
