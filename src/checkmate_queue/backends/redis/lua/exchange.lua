-- Settles, promotes, claims and renews in one step.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: epoch   5: group   6: n   7: want   8: most failed entries
--   9: number of settlements, then the settlements (lib/settlements.lua)
-- returns {'done', now, 1 if paused, next_at or 0, refused keys, cancelled keys, claims (lib/claims.lua)};
--   or {'again'}, {'misnumbered', n of the last}, {'unknown'}, {'fenced', successor}, {'lost'}
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/groups.lua
-- include: lib/settlements.lua
-- include: lib/claims.lua
-- include on demand: lib/fills.lua

local call = redis.call
local now, AGAIN, LEASES, epoch_key = queue.now, queue.AGAIN, queue.LEASES, queue.epoch_key
local claims_key = queue.claims_key
local send, flush = writes.send, writes.flush
local CLAIMED = records.CLAIMED
local enter_as = entry.enter_as
local fits, promote, next_of = catch_up.fits, catch_up.promote, catch_up.next_of

local epoch, n = ARGV[4], tonumber(ARGV[6])

local refusal = enter_as(epoch)
if refusal then
  return refusal
end
local group = groups.find(ARGV[5])
local gid = group and group.gid
local last = group and call('HMGET', epoch_key(epoch), 'exchanges:' .. gid, 'span', 'taken:' .. gid, 'refused:' .. gid,
  'left:' .. gid)
if not last or not last[1] then
  return {'lost'}
end
local done = tonumber(last[1])
if n < 1 or (n ~= done and n ~= done + 1) then
  return {'misnumbered', last[1]}
end
call('ZADD', LEASES, now + tonumber(last[2]), epoch)
if not fits() or (groups.is_filling(group) and not get_fills().go_on(group)) then
  return AGAIN
end

local function split(list)
  local parts = {}
  for part in string.gmatch(list or '', '[^,]+') do
    parts[#parts + 1] = part
  end
  return parts
end

local function settle()
  local amount = tonumber(ARGV[9])
  if amount == 0 then
    return {}
  end
  local kinds, keys, rests = settlements.parse(10, amount)
  local settled, refused = settlements.apply(kinds, keys, rests, group, epoch, CLAIMED)
  if #settled > 0 then
    send('SREM', claims_key(epoch, gid), settled)
  end
  settlements.trim(tonumber(ARGV[8]))
  return refused
end

-- Notes the answer, so that the same n gets it again; `left` is what a long step has yet to claim.
local function note(keys, refused, left)
  call('HSET', epoch_key(epoch), 'exchanges:' .. gid, n, 'taken:' .. gid, table.concat(keys, ','), 'refused:' .. gid,
    table.concat(refused, ','), 'left:' .. gid, left, 'bridged', 0)
end

local function first(want)
  local refused = settle()
  promote()
  local taken, stopped = claims.none(), false
  if want > 0 and not entry.is_paused() then
    taken, stopped = claims.take(group, epoch, want)
  end
  if want > 0 and #taken.keys == 0 and not stopped then
    writes.sleep()
  end
  note(taken.keys, refused, stopped and want - #taken.keys or 0)
  return taken, refused, stopped
end

local function repeated()
  local keys, refused, left = split(last[3]), split(last[4]), tonumber(last[5])
  local stopped = false
  if left > 0 then
    local more
    more, stopped = claims.take(group, epoch, left)
    for _, key in ipairs(more.keys) do
      keys[#keys + 1] = key
    end
    note(keys, refused, stopped and left - #more.keys or 0)
  end
  local taken = claims.none()
  claims.read(taken, keys, group, CLAIMED)
  return taken, refused, stopped
end

local function cancelled_keys()
  local keys = {}
  for _, member in ipairs(call('SMEMBERS', epoch_key(epoch, ':cancelled'))) do
    local of_group, key = string.match(member, '^(%d+):(%d+)$')
    if of_group == gid then
      keys[#keys + 1] = key
    end
  end
  return keys
end

local paused = entry.is_paused()
local taken, refused, stopped
if n == done then
  taken, refused, stopped = repeated()
else
  taken, refused, stopped = first(tonumber(ARGV[7]))
end
flush()
if stopped then
  return AGAIN
end
return {'done', now, paused and 1 or 0, next_of({'due', 'schedules_due'}) or 0, refused, cancelled_keys(),
  claims.answer(taken)}
