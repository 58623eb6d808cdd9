-- Writes a setting if its version is as expected.
-- KEYS 1: the settings   ARGV 1: setting   2: value   3: expected version, 0 for one that does not exist   4: a word of
--   this call's own: by that a repeated call knows that it took effect
-- returns {'done'} or {'refused'}
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local version, word = string.match(stored or '0::', '^(%d+):([^:]*):')
local expected = tonumber(ARGV[3])
if tonumber(version) == expected then
  redis.call('HSET', KEYS[1], ARGV[1], (expected + 1) .. ':' .. ARGV[4] .. ':' .. ARGV[2])
  return {'done'}
end
return {tonumber(version) == expected + 1 and word == ARGV[4] and 'done' or 'refused'}
