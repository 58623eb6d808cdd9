-- Leases: who lives, and how gaps move them on (G7, G12).
-- include: lib/queue.lua

local epochs = {}

-- The end of the epoch's lease, or nil where it is dead or unknown.
function epochs.lease(epoch)
  local expires_at = tonumber(call('ZSCORE', key_of('leases'), epoch) or nil)
  return expires_at and expires_at > now and expires_at or nil
end

function epochs.renew(epoch, span)
  call('ZADD', key_of('leases'), int(now + span), epoch)
end

-- Moves on the leases of those that lived at the last contact, and the account of unattended groups. Those that were
-- dead stay so, even if the clock went back.
local function bridge(contact, gap)
  local moved = false
  local leases = call('ZRANGE', key_of('leases'), 0, -1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local epoch, expires_at = leases[i], tonumber(leases[i + 1])
    local span = tonumber(call('HGET', epoch_key(epoch), 'span'))
    if expires_at <= contact then
      call('ZADD', key_of('leases'), int(math.min(expires_at, now)), epoch)
    elseif gap * 2 > span or gap < -1000 then
      call('ZADD', key_of('leases'), int(expires_at + gap), epoch)
      moved = true
    end
  end
  if moved then
    call('HINCRBY', KEYS[1], 'attended_at', int(gap))
  end
end

-- Notes the queue's contact.
function epochs.contact(contact, shortest_span)
  local gap = now - contact
  if gap ~= 0 then
    call('HSET', KEYS[1], 'contact', int(now))
  end
  if shortest_span and (gap * 2 > shortest_span or gap < 0) then
    bridge(contact, gap)
  end
end
