-- Stops or resumes claiming (L11).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: 1 to pause
-- returns {'done'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua

local refusal = entry.enter()
if refusal then
  return refusal
end
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[1], 'paused', 1)
else
  redis.call('HDEL', KEYS[1], 'paused')
  writes.wake()
end
return {'done'}
