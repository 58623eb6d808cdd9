-- Lifts the fence of the registry if it says this; what a move that never ended, or a clearing, noted goes with it.
-- KEYS 1: the registry's successor   2: its reception   ARGV 1: successor
-- returns {'done'}
local call = redis.call

if call('GET', KEYS[1]) == ARGV[1] then
  call('DEL', KEYS[1])
  if call('HEXISTS', KEYS[2], 'admitted') == 0 then
    call('DEL', KEYS[2])
  end
end
return {'done'}
