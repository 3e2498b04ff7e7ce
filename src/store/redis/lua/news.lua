-- What has changed since a version. Reads only.
-- KEYS 1 version. ARGV 1 hand, 2 the version that was seen, or empty, 3 its note.
-- Answers the version, its note, and where nothing but ended sessions lies between: those, packed. A version whose note is
-- another's is of another history: a backup, or a master that was lost.
local version = redis.call('GET', KEYS[1])
if not version then return {0, '', false} end
local notes = KEYS[1] .. ':notes'
local note = redis.call('ZRANGEBYSCORE', notes, version, version)[1] or ''
if ARGV[2] == '' or ARGV[3] == '' then return {tonumber(version), note, false} end
if redis.call('ZRANGEBYSCORE', notes, ARGV[2], ARGV[2])[1] ~= ARGV[3] then return {tonumber(version), note, false} end
local between = redis.call('ZRANGEBYSCORE', notes, '(' .. ARGV[2], version)
if #between ~= tonumber(version) - tonumber(ARGV[2]) then return {tonumber(version), note, false} end
local ended = {}
for at, change in ipairs(between) do
  ended[at] = change:sub(change:find(' ', change:find(' ', 1, true) + 1, true) + 1)
  if ended[at] == '' then return {tonumber(version), note, false} end
end
return {tonumber(version), note, table.concat(ended)}
