-- Ending what of a job was never claimed.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua

local call = redis.call
local JOBS, OPEN, DUE, group_key = queue.JOBS, queue.OPEN, queue.DUE, queue.group_key
local deliveries_key = queue.deliveries_key
local later, count = writes.later, writes.count
local DELAYED, READY, OCCURRENCE, CLOSED = records.DELAYED, records.READY, records.OCCURRENCE, records.CLOSED
local has, pack_job, unpack_delivery = records.has, records.pack_job, records.unpack_delivery

local waiting = {}

function waiting.open_groups(key, job)
  return call('HGET', OPEN, key) or job.fan
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
  local rest = open
  for gid in string.gmatch(open, '%d+') do
    if is_waiting(key, gid) then
      count(group_key(gid), 'pending', -1)
      count(group_key(gid), outcome, 1)
      if has(job.flags, OCCURRENCE) then
        get_series().ended(job, gid, true, outcome)
      end
      rest = jobs.without(rest, gid)
    end
  end
  if rest == ',' then
    later('HDEL', OPEN, key)
    jobs.remove(key, job)
  elseif rest ~= open then
    call('HSET', OPEN, key, rest)
    job.flags = job.flags + (has(job.flags, CLOSED) and 0 or CLOSED)
    call('HSET', JOBS, key, pack_job(job))
  end
end

-- The number of a job that was ready stays behind in the lists, and is passed over there.
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
end

return waiting
