-- Lifts the fence of the registry if it says this, or puts that back which was there before `receive`; what a move
-- that never ended, or a clearing, noted goes with it.
-- KEYS 1: the registry's successor   2: its reception   ARGV 1: successor
-- returns {'done'}
local call = redis.call

if call('GET', KEYS[1]) == ARGV[1] then
  local before = call('HGET', KEYS[2], 'before')
  if before then
    call('SET', KEYS[1], before)
    call('DEL', KEYS[2])
    call('HSET', KEYS[2], 'closed', 1)
    return {'done'}
  end
  call('DEL', KEYS[1])
  if call('HEXISTS', KEYS[2], 'admitted') == 0 then
    call('DEL', KEYS[2])
  end
end
return {'done'}
