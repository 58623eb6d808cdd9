-- Creates the storage of a registered queue.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: record format
-- returns {'done'} or {'fenced', successor}
-- include: lib/queue.lua

local call = redis.call
local now, int = queue.now, queue.int

if call('HSETNX', KEYS[1], 'format', ARGV[4]) == 1 then
  call('HSET', KEYS[1], 'contact', int(now), 'attended_at', int(now))
end
local successor = call('HGET', KEYS[1], 'successor')
return successor and {'fenced', successor} or {'done'}
