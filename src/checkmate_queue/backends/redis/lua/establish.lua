-- Creates the storage of a registered queue.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: record format   5: generation in which it was registered
-- returns {'done'}, {'fenced', successor}, {'stale'} where it was emptied since
-- include: lib/queue.lua

local call = redis.call
local now, int = queue.now, queue.int

local format, successor, generation = unpack(call('HMGET', KEYS[1], 'format', 'successor', 'generation'))
if tonumber(generation or 0) > tonumber(ARGV[5]) then
  return {'stale'}
end
if not format then
  call('HSET', KEYS[1], 'format', ARGV[4], 'contact', int(now), 'attended_at', int(now))
  call('PERSIST', KEYS[1])
end
return successor and {'fenced', successor} or {'done'}
