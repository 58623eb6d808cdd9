-- Begins to empty a closed registry: none of its queues is a move's any more.
-- KEYS 1: the registry's successor   2: its reception   3: its generation   ARGV 1: successor
-- returns {'done', generation}, {'kept'} where the registry's fence does not say this
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'kept'}
end
redis.call('DEL', KEYS[2])
return {'done', redis.call('INCR', KEYS[3])}
