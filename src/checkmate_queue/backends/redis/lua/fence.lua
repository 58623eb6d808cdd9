-- Closes a queue that the registry knows (B3). Scripts run one at a time, so no writer is under way.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: successor   5: record format
-- returns {'done'} or {'again'}
-- include: lib/queue.lua
-- include: lib/chores.lua

local call = redis.call
local now, AGAIN, int = queue.now, queue.AGAIN, queue.int

local format, successor, asleep = unpack(call('HMGET', KEYS[1], 'format', 'successor', 'asleep'))
if not successor and not chores.caught_up() then
  return AGAIN
end
if not format then
  call('HSET', KEYS[1], 'format', ARGV[5], 'contact', int(now), 'attended_at', int(now))
  call('PERSIST', KEYS[1])
end
call('HSET', KEYS[1], 'successor', ARGV[4])
writes.tally.asleep = asleep ~= false
writes.wake()
return {'done'}
