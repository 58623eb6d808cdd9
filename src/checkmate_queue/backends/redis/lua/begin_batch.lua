-- Begins to store a batch of a move: its queue is one of the registry's from now on.
-- KEYS 1: the registry's set of queues   2: its reception   ARGV 1: token   2: number of the batch   3: queue
-- returns {'done', generation, successor}, {'lost'}, {'misnumbered', number of the last}
local call = redis.call

local stored = call('HMGET', KEYS[2], 'token', 'admitted', 'batches', 'generation', 'successor')
if stored[1] ~= ARGV[1] or stored[2] then
  return {'lost'}
end
local last, number = tonumber(stored[3]), tonumber(ARGV[2])
if number ~= last and number ~= last + 1 then
  return {'misnumbered', last}
end
call('SADD', KEYS[1], ARGV[3])
call('HSET', KEYS[2], 'batches', number)
return {'done', tonumber(stored[4]), stored[5]}
