-- Removes all of a queue, and leaves a mark for a day: a call that belongs to an earlier generation of the registry,
-- and is on its way still, must not make it again.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: generation
-- returns {'done'}, {'again'}, {'stale'} where a later generation has it
-- include: lib/queue.lua
-- include: lib/groups.lua
-- include: lib/chores.lua
-- include: lib/series.lua

local call = redis.call
local BATCH, JOBS, LEASES, GROUPS = queue.BATCH, queue.JOBS, queue.LEASES, queue.GROUPS
local key_of, group_key, deliveries_key = queue.key_of, queue.group_key, queue.deliveries_key
local priorities_key, ready_key, front_key = queue.priorities_key, queue.ready_key, queue.front_key
local epoch_key, claims_key = queue.epoch_key, queue.claims_key

local AT_ONCE = 100
local MARK_SECONDS = 86400
local WHOLE = {'payloads', 'open', 'due', 'ids', 'expiry', 'unclaimed', 'workers', 'members', 'failed', 'failed_order',
  'failed_ids'}

local generation = call('HGET', KEYS[1], 'generation')
if tonumber(generation or 0) > tonumber(ARGV[4]) then
  return {'stale'}
end
call('HSET', KEYS[1], 'generation', ARGV[4])
call('HDEL', KEYS[1], 'format', 'successor')

local function remove_epoch(epoch)
  for gid in string.gmatch(call('HGET', epoch_key(epoch), 'groups') or '', '%d+') do
    call('UNLINK', claims_key(epoch, gid))
  end
  call('UNLINK', epoch_key(epoch), epoch_key(epoch, ':cancelled'), epoch_key(epoch, ':lapsed'))
end

local function remove_epochs()
  local epochs = call('ZRANGE', LEASES, 0, AT_ONCE - 1)
  for _, epoch in ipairs(epochs) do
    remove_epoch(epoch)
    call('ZREM', LEASES, epoch)
  end
  local dying = call('LPOP', key_of('dying'), AT_ONCE) or {}
  for _, epoch in ipairs(dying) do
    remove_epoch(epoch)
  end
  return #epochs + #dying > 0
end

local function remove_groups()
  local stored = call('HSCAN', GROUPS, 0, 'COUNT', AT_ONCE)[2]
  for i = 1, #stored, 2 do
    local gid = groups.find(stored[i]).gid
    local priorities = call('ZRANGE', priorities_key(gid), 0, AT_ONCE - 1)
    for _, priority in ipairs(priorities) do
      call('UNLINK', ready_key(gid, priority), front_key(gid, priority))
      call('ZREM', priorities_key(gid), priority)
    end
    if #priorities < AT_ONCE then
      call('UNLINK', group_key(gid), deliveries_key(gid), priorities_key(gid), key_of('fill:' .. gid))
      call('HDEL', GROUPS, stored[i])
    end
  end
  return #stored > 0
end

local function remove_series(id)
  call('UNLINK', key_of('schedule:' .. id), key_of('schedule-jobs:' .. id), key_of('schedule-deliveries:' .. id))
end

-- A schedule's series may outlive it, as long as a job of it lives.
local function remove_schedules()
  local ids = call('ZRANGE', key_of('schedules'), 0, AT_ONCE - 1)
  for _, id in ipairs(ids) do
    remove_series(id)
    call('ZREM', key_of('schedules'), id)
  end
  call('UNLINK', key_of('schedules_due'))
  return #ids > 0
end

-- Goes on where it stopped, since one scan gives up after so many empty places.
local function remove_occurrences()
  if call('EXISTS', key_of('occurrences')) == 0 then
    return false
  end
  local cursor = call('HGET', KEYS[1], 'emptied') or 0
  local following, occurrences = unpack(call('HSCAN', key_of('occurrences'), cursor, 'COUNT', BATCH))
  for i = 1, #occurrences, 2 do
    remove_series(series.id_of({id = occurrences[i]}))
    call('HDEL', key_of('occurrences'), occurrences[i])
  end
  call('HSET', KEYS[1], 'emptied', following)
  return true
end

if not chores.caught_up() or remove_epochs() or remove_groups() or remove_schedules()
  or remove_occurrences() then
  return queue.AGAIN
end
for _, name in ipairs(WHOLE) do
  call('UNLINK', key_of(name))
end
local epochs = call('HGET', KEYS[1], 'epochs') or 0
call('UNLINK', JOBS, KEYS[1])
call('HSET', KEYS[1], 'generation', ARGV[4], 'epochs', epochs)
call('EXPIRE', KEYS[1], MARK_SECONDS)
return {'done'}
