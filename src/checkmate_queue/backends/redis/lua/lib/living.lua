-- Which epochs live, for those who only look: after a gap a writer that came now would move leases on (G12).
-- include: lib/queue.lua
-- include: lib/gaps.lua

local call = redis.call
local now, LEASES = queue.now, queue.LEASES

local living = {}

-- Numbers in their order, and when each lease ends.
function living.epochs()
  local contact = tonumber(call('HGET', KEYS[1], 'contact') or now)
  local gap = now - contact
  local numbers, ends = {}, {}
  local leases = call('ZRANGE', LEASES, 0, -1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local epoch, expires_at = leases[i], tonumber(leases[i + 1])
    local moved = expires_at + (gaps.concern(epoch, gap) and gap or 0)
    if expires_at > contact and moved > now then
      numbers[#numbers + 1] = epoch
      ends[epoch] = moved
    end
  end
  table.sort(numbers, function(one, other)
    return tonumber(one) < tonumber(other)
  end)
  return numbers, ends
end

return living
