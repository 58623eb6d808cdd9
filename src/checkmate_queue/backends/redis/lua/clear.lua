-- Begins to empty the registry: it is closed for queues that it knows, too, and none is a move's any more.
-- KEYS 1: the registry's successor   2: its reception   3: its generation   ARGV 1: successor
-- returns {'done', generation}, {'kept'} where the registry's fence does not say this
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'kept'}
end
redis.call('HDEL', KEYS[2], 'token', 'successor', 'batches', 'generation', 'admitted')
redis.call('HSET', KEYS[2], 'closed', 1)
return {'done', redis.call('INCR', KEYS[3])}
