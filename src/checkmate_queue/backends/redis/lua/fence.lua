-- Closes a queue that the registry knows (B3). Scripts run one at a time, so no writer is under way.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: successor   5: record format
-- returns {'done'} or {'again'}
-- include: lib/queue.lua
-- include: lib/chores.lua

local call = redis.call
local AGAIN = queue.AGAIN

if call('HEXISTS', KEYS[1], 'successor') == 0 and not chores.caught_up() then
  return AGAIN
end
call('HSETNX', KEYS[1], 'format', ARGV[5])
call('HSET', KEYS[1], 'successor', ARGV[4])
return {'done'}
