-- Gaps, in which nobody could renew a lease (G12).
-- include: lib/queue.lua

local call = redis.call
local now, LEASES, int, epoch_key = queue.now, queue.LEASES, queue.int, queue.epoch_key

local gaps = {}

-- Over how many gaps in a row a lease is moved on that is not renewed in between. Whoever lives renews it soon after a
-- gap; without an end, a worker that died would outlive all work of producers that come now and then.
local MOST = 100

-- Whether the lease of an epoch that lived at the last contact is to be moved on; `bridged` counts since its renewal.
function gaps.concern(epoch, gap)
  local stored = call('HMGET', epoch_key(epoch), 'span', 'bridged')
  return (gap * 2 > tonumber(stored[1]) or gap < -1000) and tonumber(stored[2] or 0) < MOST
end

-- Moves on the leases of those that lived at the last contact, and the account of unattended groups. Those that were
-- dead stay so, even if the clock went back.
function gaps.bridge(contact, gap)
  local moved = false
  local leases = call('ZRANGE', LEASES, 0, -1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local epoch, expires_at = leases[i], tonumber(leases[i + 1])
    if expires_at <= contact then
      call('ZADD', LEASES, int(math.min(expires_at, now)), epoch)
    elseif gaps.concern(epoch, gap) then
      call('HINCRBY', epoch_key(epoch), 'bridged', 1)
      call('ZADD', LEASES, int(expires_at + gap), epoch)
      moved = true
    end
  end
  if moved then
    call('HINCRBY', KEYS[1], 'attended_at', int(gap))
  end
end

return gaps
