-- Ends the epoch's membership in groups; with its last group the epoch ends.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: epoch   5: 1 to drop durable groups too   6...: groups
-- returns {'done'}, {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/attendance.lua
-- include: lib/deaths.lua
-- include: lib/chores.lua

local call = redis.call
local BATCH, AGAIN, key_of, deliveries_key = queue.BATCH, queue.AGAIN, queue.key_of, queue.deliveries_key
local epoch_key, claims_key = queue.epoch_key, queue.claims_key
local flush = writes.flush
local unpack_delivery = records.unpack_delivery
local lease_of, enter = entry.lease_of, entry.enter
local fits, promote = catch_up.fits, catch_up.promote

local epoch = ARGV[4]

local refusal = enter()
if refusal then
  return refusal
end
if not fits() then
  return AGAIN
end
promote()
if not lease_of(epoch) then
  return {'done'}
end
attendance.account()

-- True once none is left.
local function give_back_claims(group)
  local claims_of_group = claims_key(epoch, group.gid)
  for _, key in ipairs(call('SPOP', claims_of_group, BATCH)) do
    local raw = call('HGET', deliveries_key(group.gid), key)
    settlements.give_back(key, group, unpack_delivery(raw))
  end
  flush()
  return call('EXISTS', claims_of_group) == 0
end

local function leave_group(group)
  local gid, key = group.gid, epoch_key(epoch)
  local joined = call('HGET', key, 'groups')
  local from, to = string.find(joined, ',' .. gid .. ',', 1, true)
  call('HSET', key, 'groups', string.sub(joined, 1, from) .. string.sub(joined, to + 1))
  call('HDEL', key, 'exchanges:' .. gid, 'taken:' .. gid, 'refused:' .. gid, 'left:' .. gid)
  members.remove(gid, epoch)
  if (group.ephemeral or ARGV[5] == '1') and not members.attend(gid) then
    members.drop_group(group)
  end
end

for i = 6, #ARGV do
  local group = groups.find(ARGV[i])
  if group and call('HEXISTS', epoch_key(epoch), 'exchanges:' .. group.gid) == 1 then
    if not give_back_claims(group) then
      return AGAIN
    end
    leave_group(group)
  end
end
if call('HGET', epoch_key(epoch), 'groups') == ',' then
  deaths.forget_worker(epoch)
  if call('EXISTS', epoch_key(epoch, ':lapsed')) == 1 then
    call('RPUSH', key_of('dying'), epoch)
  else
    call('DEL', epoch_key(epoch))
  end
end
return chores.caught_up() and {'done'} or AGAIN
