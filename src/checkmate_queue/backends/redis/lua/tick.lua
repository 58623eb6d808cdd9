-- Does what time has made due, on behalf of the whole queue.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: epoch   5: most failed entries   6: their retention in ms
--   7: retention of groups in ms   8: number of settlements, then for each its group and the settlement
-- returns {'done', now, next_at or 0, readied, pending, 1 if there is more, group and most stalls of each lapsed
--   claim, lapsed claims (lib/claims.lua), due schedules (lib/schedule_records.lua), abandoned groups as
--   {name, drop_at}, names of dropped groups};
--   or {'again', readied}, {'unknown'}, {'fenced', successor}, {'lost'}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/chores.lua
-- include: lib/expiry.lua
-- include: lib/attendance.lua
-- include: lib/deaths.lua
-- include: lib/schedule_records.lua

local call = redis.call
local now, BATCH, LEASES, key_of, group_key = queue.now, queue.BATCH, queue.LEASES, queue.key_of, queue.group_key
local epoch_key = queue.epoch_key
local later, flush = writes.later, writes.flush
local LAPSED = records.LAPSED
local enter_as = entry.enter_as
local fits, promote, next_of = catch_up.fits, catch_up.promote, catch_up.next_of

local FEW, ROUND = 30, 1000
local epoch = ARGV[4]

local refusal = enter_as(epoch)
if refusal then
  return refusal
end
if not fits() then
  return {'again', writes.tally.readied}
end

local function settle()
  local at = 9
  for _ = 1, tonumber(ARGV[8]) do
    local group = groups.find(ARGV[at])
    local kinds, keys, rests
    kinds, keys, rests, at = settlements.parse(at + 1, 1)
    if group and #settlements.apply(kinds, keys, rests, group, epoch, LAPSED) == 1 then
      later('SREM', epoch_key(epoch, ':lapsed'), group.gid .. ':' .. keys[1])
    end
  end
  settlements.trim(tonumber(ARGV[5]))
  flush()
end

-- True where it is time to look at all groups: each of many workers ticks at least once a second, and that would cost
-- the square of their number.
local function is_round(field)
  local elapsed = now - tonumber(call('HGET', KEYS[1], field) or 0)
  return call('HLEN', queue.GROUPS) <= FEW or elapsed < 0 or elapsed >= ROUND
end

-- Of many groups it is the sum of up to a second ago.
local function pending()
  if not is_round('summed_at') then
    return tonumber(call('HGET', KEYS[1], 'sum'))
  end
  local sum = 0
  for _, group in ipairs(groups.all()) do
    sum = sum + tonumber(call('HGET', group_key(group.gid), 'pending') or 0)
  end
  if call('HLEN', queue.GROUPS) > FEW then
    call('HSET', KEYS[1], 'sum', sum, 'summed_at', queue.int(now))
  end
  return sum
end

local function earliest(one, other)
  return one and other and math.min(one, other) or one or other
end

local function next_lease()
  local leases = call('ZRANGE', LEASES, 0, 1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    if leases[i] ~= epoch then
      return tonumber(leases[i + 1])
    end
  end
end

if tonumber(ARGV[8]) > 0 then
  settle()
end
promote()
writes.sleep()
local more = get_failures().expire(tonumber(ARGV[6]))
local accounts, dropped, abandoned = deaths.are_left() or is_round('attended_at'), {}, {}
if accounts then
  attendance.account()
  dropped = deaths.mark()
end
deaths.hand_on(epoch)
if accounts then
  abandoned = attendance.judge(tonumber(ARGV[7]), dropped)
end
more = not chores.caught_up() or more or call('EXISTS', key_of('dying')) == 1 or deaths.are_left()
local schedules_due = schedule_records.due(BATCH)
local next_at = next_of({'due', 'schedules_due', 'expiry'}, earliest(expiry.next_unclaimed(), next_lease()))
local lapsed_groups, lapsed, is_cut = deaths.held(epoch)
more = more or is_cut
return {'done', now, next_at or 0, writes.tally.readied, pending(), (more or #schedules_due == BATCH) and 1 or 0,
  lapsed_groups, lapsed, schedules_due, abandoned, dropped}
