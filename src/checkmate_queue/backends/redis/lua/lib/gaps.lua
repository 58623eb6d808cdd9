-- Gaps, in which nobody could renew a lease (G12).
-- include: lib/queue.lua

local call = redis.call
local now, LEASES, int, epoch_key = queue.now, queue.LEASES, queue.int, queue.epoch_key

local gaps = {}

-- Moves on the leases of those that lived at the last contact, and the account of unattended groups. Those that were
-- dead stay so, even if the clock went back.
function gaps.bridge(contact, gap)
  local moved = false
  local leases = call('ZRANGE', LEASES, 0, -1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local epoch, expires_at = leases[i], tonumber(leases[i + 1])
    local span = tonumber(call('HGET', epoch_key(epoch), 'span'))
    if expires_at <= contact then
      call('ZADD', LEASES, int(math.min(expires_at, now)), epoch)
    elseif gap * 2 > span or gap < -1000 then
      call('ZADD', LEASES, int(expires_at + gap), epoch)
      moved = true
    end
  end
  if moved then
    call('HINCRBY', KEYS[1], 'attended_at', int(gap))
  end
end

return gaps
