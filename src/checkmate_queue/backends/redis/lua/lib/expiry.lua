-- Ending what has expired: deliveries that were never claimed (J9), and unclaimed jobs past their retention (G2).
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/members.lua
-- include: lib/jobs.lua
-- include: lib/waiting.lua

local call = redis.call
local now, BATCH, UNCLAIMED_RETENTION = queue.now, queue.BATCH, queue.UNCLAIMED_RETENTION
local DUE, int, key_of, group_key = queue.DUE, queue.int, queue.key_of, queue.group_key
local later, count, flush = writes.later, writes.count, writes.flush
local DELAYED = records.DELAYED

local expiry = {}

-- A job that is due and expired at once would have gone to the groups of its due time, and expired in each.
local function end_delayed(key, job, live)
  for _, gid in ipairs(live) do
    count(group_key(gid), 'expired', 1)
  end
  count(KEYS[1], 'expired', #live == 0 and 1 or 0)
  count(KEYS[1], 'delayed', -1)
  later('ZREM', DUE, jobs.due_member(key))
  jobs.remove(key, job)
  return math.max(1, #live)
end

-- Ends up to about a batch of deliveries that were not claimed in time; true where more is left.
local function sweep()
  local keys = call('ZRANGEBYSCORE', key_of('expiry'), '-inf', int(now), 'LIMIT', 0, BATCH)
  if #keys == 0 then
    return false
  end
  local handled, ended, live = 0, 0, nil
  while ended < #keys and handled < BATCH do
    ended = ended + 1
    local key = keys[ended]
    local job = jobs.read(key)
    if job and job.state == DELAYED then
      live = live or members.live()
      handled = handled + end_delayed(key, job, live)
    else
      handled = handled + (job and waiting.finish(key, job, 'expired') or 1)
    end
    later('ZREM', key_of('expiry'), key)
  end
  flush()
  waiting.trim()
  return ended == BATCH or ended < #keys
end

-- The first unclaimed job; numbers before it that stand for nothing go, up to a batch of them.
local function first_unclaimed()
  for _ = 1, BATCH do
    local key = call('LINDEX', key_of('unclaimed'), 0)
    local job = key and jobs.read(key)
    if not key or job then
      return key, job
    end
    call('LPOP', key_of('unclaimed'))
  end
end

-- Ends up to a batch of unclaimed jobs past their retention; true where more is left.
local function sweep_unclaimed()
  for _ = 1, BATCH do
    local key, job = first_unclaimed()
    if not key or job.since + UNCLAIMED_RETENTION > now then
      return false
    end
    waiting.finish(key, job, 'expired')
    flush()
    call('LPOP', key_of('unclaimed'))
  end
  return true
end

-- Ends up to a batch of what has expired; true once none is left.
function expiry.caught_up()
  return not sweep() and not sweep_unclaimed()
end

function expiry.next_unclaimed()
  local key, job = first_unclaimed()
  return key and job.since + UNCLAIMED_RETENTION or nil
end

return expiry
