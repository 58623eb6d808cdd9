-- Work that a verb has decided but that may be too long for one step. Every verb does it first, in batches, and comes
-- again until none is left: nobody sees what is half done.
--   drop:<gid> <n>    the deliveries of a dropped group end; its numbers are settled already; <n> of the scan or nothing
--   adopt:<gid>,<gid> unclaimed jobs become ready in these groups (G2)
--   fan:<n>           the jobs in the lists `fan:<n>:<priority>` become ready in the groups in `fan:<n>`
--   cancel:<n>        the jobs in the set `cancel:<n>` end where they were never claimed (R4, R7)
--   trim:<gid> <priority>   numbers that stand for nothing go from the head of this list
--   rename:<from>\n<old>\n<new>   failed entries of a group get its new name, from this number on
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua
-- include: lib/waiting.lua
-- include: lib/readying.lua
-- include on demand: lib/failures.lua

local call = redis.call
local now, BATCH, JOBS, OPEN, DUE, int = queue.now, queue.BATCH, queue.JOBS, queue.OPEN, queue.DUE, queue.int
local key_of, deliveries_key, priorities_key = queue.key_of, queue.deliveries_key, queue.priorities_key
local ready_key, front_key, epoch_key = queue.ready_key, queue.front_key, queue.epoch_key
local claims_key = queue.claims_key
local read, later, count, flush = writes.read, writes.later, writes.count, writes.flush
local CLAIMED, LAPSED, RETRYING, OCCURRENCE = records.CLAIMED, records.LAPSED, records.RETRYING, records.OCCURRENCE
local has, unpack_job, unpack_delivery = records.has, records.unpack_job, records.unpack_delivery

local chores = {}

local function forget_place(key, gid, delivery)
  if delivery.state == RETRYING then
    later('ZREM', DUE, jobs.due_member(key, gid))
  elseif delivery.state == CLAIMED then
    later('SREM', claims_key(int(delivery.epoch), gid), key)
  elseif delivery.state == LAPSED then
    later('SREM', epoch_key(int(delivery.epoch), ':lapsed'), gid .. ':' .. key)
  end
end

local function end_dropped(key, gid, was_waiting, outcome)
  local job = jobs.read(key)
  local open = job and call('HGET', OPEN, key)
  if job and (not was_waiting or string.find(open or job.fan, ',' .. gid .. ',', 1, true)) then
    if has(job.flags, OCCURRENCE) then
      get_series().ended(job, gid, was_waiting, outcome)
    end
    jobs.close(key, job, gid, open)
  end
end

-- Goes on where it stopped: what lies there no more would be looked through again and again, and one scan gives up
-- after that many empty places.
local function drop_deliveries(gid, cursor)
  local following, stored = unpack(call('HSCAN', deliveries_key(gid), cursor, 'COUNT', BATCH))
  for i = 1, #stored, 2 do
    local delivery = unpack_delivery(stored[i + 1])
    if delivery then
      forget_place(stored[i], gid, delivery)
    end
    local outcome = delivery and delivery.cancelled == 1 and 'cancelled' or 'expired'
    end_dropped(stored[i], gid, delivery ~= nil and delivery.sequence == 0, outcome)
    later('HDEL', deliveries_key(gid), stored[i])
  end
  flush()
  call('LSET', key_of('chores'), 0, 'drop:' .. gid .. ' ' .. following)
  return #stored / 2
end

local function drop_waiting(gid)
  local priority = call('ZRANGE', priorities_key(gid), 0, 0)[1]
  if not priority then
    return 0
  end
  local keys = call('LPOP', ready_key(gid, priority), BATCH)
  for _, key in ipairs(keys or {}) do
    end_dropped(key, gid, true, 'expired')
  end
  flush()
  if not keys then
    call('UNLINK', front_key(gid, priority))
    call('ZREM', priorities_key(gid), priority)
  end
  return keys and #keys or 1
end

local function drop(rest)
  local gid, cursor = string.match(rest, '^(%d+) ?(%d*)$')
  if call('EXISTS', deliveries_key(gid)) == 1 then
    return math.max(1, drop_deliveries(gid, cursor ~= '' and cursor or '0'))
  end
  local handled = drop_waiting(gid)
  if handled == 0 then
    call('UNLINK', key_of('fill:' .. gid))
  end
  return handled
end

local function adopt(list)
  local gids = {}
  for gid in string.gmatch(list, '%d+') do
    gids[#gids + 1] = gid
  end
  local keys = call('LPOP', key_of('unclaimed'), math.max(1, math.floor(BATCH / #gids)))
  local raw = read(JOBS, keys or {})
  for i, key in ipairs(keys or {}) do
    local job = raw[i] and unpack_job(raw[i])
    if job then
      count(KEYS[1], 'unclaimed', -1)
      if has(job.flags, OCCURRENCE) then
        get_series().unclaimed(job, -1)
      end
      job.since = now
      readying.fan_out(key, job, gids)
    end
  end
  flush()
  return keys and #keys * #gids or 0
end

local function fan(number)
  local key, lists, amount = key_of('fan:' .. number), {}, 0
  for _, priority in ipairs(call('LRANGE', key .. ':priorities', 0, -1)) do
    lists[priority] = call('LRANGE', key .. ':' .. priority, 0, -1)
    amount = amount + #lists[priority]
  end
  local gids = call('LPOP', key, math.max(1, math.floor(BATCH / math.max(1, amount)))) or {}
  for _, gid in ipairs(gids) do
    for priority, keys in pairs(lists) do
      writes.push_all(keys, priority, gid)
    end
  end
  if #gids == 0 then
    for priority in pairs(lists) do
      call('UNLINK', key .. ':' .. priority)
    end
    call('UNLINK', key .. ':priorities')
  end
  return #gids * amount
end

local function cancel(number)
  local set = key_of('cancel:' .. number)
  local handled = 0
  for _, key in ipairs(call('SRANDMEMBER', set, BATCH)) do
    local job = handled < BATCH and jobs.read(key)
    if handled < BATCH then
      handled = handled + (job and waiting.finish(key, job, 'cancelled') or 1)
      later('SREM', set, key)
    end
  end
  flush()
  waiting.trim()
  return handled
end

local function trim(rest)
  local gid, priority = string.match(rest, '^(%d+) (.*)$')
  return waiting.trim_list(gid, priority, BATCH)
end

local function rename(rest)
  local from, old, new = string.match(rest, '^(%d+)\n(.*)\n(.*)$')
  local numbers = call('ZRANGEBYSCORE', key_of('failed_order'), from, '+inf', 'LIMIT', 0, BATCH)
  for _, number in ipairs(numbers) do
    get_failures().rename(number, old, new)
  end
  if #numbers > 0 then
    local following = int(tonumber(numbers[#numbers]) + 1)
    call('LSET', key_of('chores'), 0, 'rename:' .. following .. '\n' .. old .. '\n' .. new)
  end
  return #numbers
end

-- each does up to a batch and returns how many records it handled: 0 once there is none
local doers = {drop = drop, adopt = adopt, fan = fan, cancel = cancel, trim = trim, rename = rename}

-- Ends the jobs of a schedule that were never claimed; `number` is like no other's.
function chores.cancel(schedule_id, number)
  if call('EXISTS', key_of('schedule-jobs:' .. schedule_id)) == 1 then
    call('RENAME', key_of('schedule-jobs:' .. schedule_id), key_of('cancel:' .. number))
    call('RPUSH', key_of('chores'), 'cancel:' .. number)
    chores.caught_up()
  end
end

-- Does up to about a batch; true once none is left.
function chores.caught_up()
  local handled = 0
  while handled < BATCH do
    local chore = call('LINDEX', key_of('chores'), 0)
    if not chore then
      return true
    end
    local kind, rest = string.match(chore, '^(%a+):(.*)$')
    local amount = doers[kind](rest)
    if amount == 0 then
      call('LPOP', key_of('chores'))
    end
    handled = handled + math.max(1, amount)
  end
  return false
end

return chores
