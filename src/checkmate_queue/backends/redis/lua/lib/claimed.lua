-- What an epoch has claimed, and in which of its exchanges.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua

local call = redis.call
local deliveries_key, epoch_key = queue.deliveries_key, queue.epoch_key
local unpack_delivery = records.unpack_delivery

local claimed = {}

-- Adds {key, gid, exchange, delivery} for each of the keys that stands for a delivery. The last exchange has a list of
-- what it took; all else is of those before it, which matter alike.
function claimed.read(rows, epoch, gid, keys)
  local last, taken = unpack(call('HMGET', epoch_key(epoch), 'exchanges:' .. gid, 'taken:' .. gid))
  local of_last = {}
  for key in string.gmatch(taken or '', '%d+') do
    of_last[key] = true
  end
  for i, raw in ipairs(writes.read(deliveries_key(gid), keys)) do
    local delivery = raw and unpack_delivery(raw)
    if delivery then
      rows[#rows + 1] = {
        key = keys[i],
        gid = gid,
        exchange = tonumber(last or 0) - (of_last[keys[i]] and 0 or 1),
        delivery = delivery,
      }
    end
  end
end

return claimed
