-- Ending what of a job was never claimed.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua

local call = redis.call
local BATCH, JOBS, OPEN, DUE, key_of = queue.BATCH, queue.JOBS, queue.OPEN, queue.DUE, queue.key_of
local group_key, deliveries_key, priorities_key = queue.group_key, queue.deliveries_key, queue.priorities_key
local ready_key, front_key = queue.ready_key, queue.front_key
local later, count = writes.later, writes.count
local DELAYED, READY, OCCURRENCE, CLOSED = records.DELAYED, records.READY, records.OCCURRENCE, records.CLOSED
local has, pack_job, unpack_job = records.has, records.pack_job, records.unpack_job
local unpack_delivery = records.unpack_delivery

local waiting = {}

local touched = {}

function waiting.open_groups(key, job)
  return call('HGET', OPEN, key) or job.fan
end

-- The delivery in the group has ended; its number is still in a list.
function waiting.end_in(gid, job, was_waiting, outcome)
  count(group_key(gid), outcome, 1)
  if has(job.flags, OCCURRENCE) then
    get_series().ended(job, gid, was_waiting, outcome)
  end
  touched[gid .. ' ' .. job.priority] = {gid, job.priority}
end

-- Of the open deliveries of a job these are left, all of which were claimed.
function waiting.keep(key, job, open, rest)
  if rest == ',' then
    later('HDEL', OPEN, key)
    jobs.remove(key, job)
  elseif rest ~= open then
    call('HSET', OPEN, key, rest)
    job.flags = job.flags + (has(job.flags, CLOSED) and 0 or CLOSED)
    call('HSET', JOBS, key, pack_job(job))
  end
end

-- Whether the delivery was never claimed; most of those have no record.
local function is_waiting(key, gid)
  local raw = call('HGET', deliveries_key(gid), key)
  local delivery = raw and unpack_delivery(raw)
  if delivery and delivery.sequence == 0 then
    later('HDEL', deliveries_key(gid), key)
    return true
  end
  return not raw
end

local function end_ready(key, job, outcome)
  local open = waiting.open_groups(key, job)
  local rest, looked = open, 0
  for gid in string.gmatch(open, '%d+') do
    looked = looked + 1
    if is_waiting(key, gid) then
      count(group_key(gid), 'pending', -1)
      waiting.end_in(gid, job, true, outcome)
      rest = jobs.without(rest, gid)
    end
  end
  waiting.keep(key, job, open, rest)
  return math.max(1, looked)
end

-- The number of a job that was ready stays behind in the lists, and is passed over there. Returns how many deliveries it
-- looked at.
function waiting.finish(key, job, outcome)
  if job.state == READY then
    return end_ready(key, job, outcome)
  end
  if job.state == DELAYED then
    later('ZREM', DUE, jobs.due_member(key))
    count(KEYS[1], 'delayed', -1)
  else
    count(KEYS[1], 'unclaimed', -1)
  end
  if has(job.flags, OCCURRENCE) then
    get_series().unclaimed(job, -1)
    get_series().ended(job, nil, true, outcome)
  end
  count(KEYS[1], outcome, 1)
  jobs.remove(key, job)
  return 1
end

-- Whether a list's number stands for nothing any more.
function waiting.is_dead(key, gid)
  local raw = call('HGET', JOBS, key)
  if not raw then
    return true
  end
  return has(unpack_job(raw).flags, CLOSED) and call('HEXISTS', deliveries_key(gid), key) == 0
end

-- Takes up to so many dead numbers off the head of a list; returns how many.
function waiting.trim_list(gid, priority, most)
  local list, taken = ready_key(gid, priority), 0
  while taken < most do
    local key = call('LINDEX', list, 0)
    if not key or not waiting.is_dead(key, gid) then
      break
    end
    call('LPOP', list)
    taken = taken + 1
  end
  if call('EXISTS', list, front_key(gid, priority)) == 0 then
    call('ZREM', priorities_key(gid), priority)
  end
  return taken
end

-- Takes dead numbers off the heads of the lists concerned, so that what ends unseen leaves nothing behind; what is too
-- much for one step is a chore. Called after what was gathered has been written.
function waiting.trim()
  local room = 2 * BATCH
  for _, place in pairs(touched) do
    local gid, priority = place[1], place[2]
    local taken = waiting.trim_list(gid, priority, room)
    if taken == room then
      call('RPUSH', key_of('chores'), 'trim:' .. gid .. ' ' .. priority)
    end
    room = room - taken
  end
  touched = {}
end

return waiting
