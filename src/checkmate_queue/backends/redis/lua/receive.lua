-- Closes the registry for a move into this store, where it has no queues but those of a move that never ended.
-- KEYS 1: the registry's set of queues   2: its successor   3: its reception   4: its generation
-- ARGV 1: token   2: successor
-- returns {'done', generation} or {'occupied'}
local call = redis.call

local token, admitted, before = unpack(call('HMGET', KEYS[3], 'token', 'admitted', 'before'))
if call('SCARD', KEYS[1]) > 0 and (not token or admitted) then
  return {'occupied'}
end
local generation = call('INCR', KEYS[4])
if not token or admitted then
  before = call('GET', KEYS[2])
end
call('SET', KEYS[2], ARGV[2])
call('DEL', KEYS[3])
call('HSET', KEYS[3], 'token', ARGV[1], 'successor', ARGV[2], 'batches', 0, 'generation', generation,
  'closed', 1)
if before then
  call('HSET', KEYS[3], 'before', before)
end
return {'done', generation}
