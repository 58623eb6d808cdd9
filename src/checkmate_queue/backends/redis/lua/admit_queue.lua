-- Opens a queue that has been moved here: leases start anew, without a gap (B2).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: generation
-- returns {'done'}, {'stale'} where a later generation has it
-- include: lib/queue.lua

local call = redis.call
local now, LEASES, int, epoch_key = queue.now, queue.LEASES, queue.int, queue.epoch_key

local generation, restored = unpack(call('HMGET', KEYS[1], 'generation', 'restored'))
if tonumber(generation or 0) > tonumber(ARGV[4]) then
  return {'stale'}
end
if not restored then
  return {'done'}
end
local leases = call('ZRANGE', LEASES, 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
  if leases[i + 1] == '1' then
    call('ZADD', LEASES, int(now + tonumber(call('HGET', epoch_key(leases[i]), 'span'))), leases[i])
  end
end
call('HSET', KEYS[1], 'contact', int(now), 'attended_at', int(now))
call('HDEL', KEYS[1], 'successor', 'restored')
return {'done'}
