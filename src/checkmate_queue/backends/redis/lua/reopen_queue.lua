-- Lifts the fence of a queue if it says this.
-- KEYS 1: queue   ARGV 1: successor
-- returns {'done'}
if redis.call('HGET', KEYS[1], 'successor') == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'successor')
end
return {'done'}
