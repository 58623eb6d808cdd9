-- Opens the registry; its queues are open already.
-- KEYS 1: the registry's successor   2: its reception   ARGV 1: token
-- returns {'done'} or {'lost'}
local call = redis.call

local token, admitted = unpack(call('HMGET', KEYS[2], 'token', 'admitted'))
if token ~= ARGV[1] then
  return {'lost'}
end
if not admitted then
  call('DEL', KEYS[1])
  call('HSET', KEYS[2], 'admitted', 1)
  call('HDEL', KEYS[2], 'closed', 'before')
end
return {'done'}
