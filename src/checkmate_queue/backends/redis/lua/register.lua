-- Enters a queue's name in the registry.
-- KEYS 1: the registry's set of queues   2: its successor   3: its reception   4: its generation
-- ARGV 1: queue
-- returns {'done', generation} or {'fenced', successor}
local call = redis.call

local successor, is_known = call('GET', KEYS[2]), call('SISMEMBER', KEYS[1], ARGV[1]) == 1
if successor and (not is_known or call('HEXISTS', KEYS[3], 'closed') == 1) then
  return {'fenced', successor}
end
if not is_known then -- a full server refuses to write
  call('SADD', KEYS[1], ARGV[1])
end
return {'done', tonumber(call('GET', KEYS[4]) or 0)}
