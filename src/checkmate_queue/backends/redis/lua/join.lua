-- Registers a worker and its groups in one step.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: worker   5: lease in ms
--   then for each group 5: name, 1 for ephemeral, start ("now" or "earliest"), most stalls
-- returns {'done', epoch}, {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/attendance.lua
-- include: lib/fills.lua
-- include: lib/chores.lua

local call = redis.call
local now, AGAIN, LEASES, int, key_of = queue.now, queue.AGAIN, queue.LEASES, queue.int, queue.key_of
local epoch_key = queue.epoch_key
local lease_of, enter = entry.lease_of, entry.enter
local fits, promote = catch_up.fits, catch_up.promote

local refusal = enter()
if refusal then
  return refusal
end
if not fits() then
  return AGAIN
end
promote()
attendance.account()

local worker, span = ARGV[4], ARGV[5]

local function living_epoch()
  local epoch = call('HGET', key_of('workers'), worker)
  return epoch and lease_of(epoch) and epoch
end

-- Numbered by the time: a server that lost its last moments must not give a number again that it forgot.
local function new_epoch()
  local last = tonumber(call('HGET', KEYS[1], 'epochs') or 0)
  local epoch = int(math.max(last + 1, now))
  call('HSET', KEYS[1], 'epochs', epoch)
  call('HSET', key_of('workers'), worker, epoch)
  call('HSET', epoch_key(epoch), 'worker', worker, 'groups', ',')
  return epoch
end

local function note_span(epoch)
  call('HSET', epoch_key(epoch), 'span', span, 'bridged', 0)
  local shortest = tonumber(call('HGET', KEYS[1], 'shortest_span') or nil)
  if not shortest or tonumber(span) < shortest or call('ZCARD', LEASES) == 0 then
    call('HSET', KEYS[1], 'shortest_span', span)
  end
end

local function enrol(epoch, gid)
  if call('HSETNX', epoch_key(epoch), 'exchanges:' .. gid, 0) == 1 then
    call('HSET', epoch_key(epoch), 'groups', call('HGET', epoch_key(epoch), 'groups') .. gid .. ',')
  end
  members.add(gid, epoch)
end

local function join_group(epoch, name, ephemeral, start, max_stalls)
  local group = groups.find(name)
  if not group then
    group = {name = name, gid = int(call('HINCRBY', KEYS[1], 'groups', 1)), registered_at = now, filling = ''}
    if start == 'earliest' then
      fills.start(group)
    end
  end
  group.ephemeral, group.max_stalls, group.away, group.warned_at = ephemeral, max_stalls, 0, 0
  groups.save(group)
  enrol(epoch, group.gid)
  return group
end

local epoch = living_epoch() or new_epoch()
note_span(epoch)
call('ZADD', LEASES, now + tonumber(span), epoch)
local durable, joined = {}, {}
for at = 6, #ARGV, 4 do
  local group = join_group(epoch, ARGV[at], ARGV[at + 1] == '1', ARGV[at + 2], tonumber(ARGV[at + 3]))
  if not group.ephemeral then
    durable[#durable + 1] = group.gid
  end
  joined[#joined + 1] = group
end
if #durable > 0 and call('EXISTS', key_of('unclaimed')) == 1 then
  call('RPUSH', key_of('chores'), 'adopt:' .. table.concat(durable, ','))
end
if not chores.caught_up() then
  return AGAIN
end
for _, group in ipairs(joined) do
  if groups.is_filling(group) and not fills.go_on(group) then
    return AGAIN
  end
end
return {'done', epoch}
