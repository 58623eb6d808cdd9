-- Jobs and the end of their deliveries. `jobs` and `payloads` hold a job's record, `ids` or `occurrences` its id. A job
-- that is ready carries the groups it was fanned out to in its record, ",1,2,"; `open` holds what is left of them once
-- they differ.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include on demand: lib/series.lua

local call = redis.call
local JOBS, PAYLOADS, OPEN, key_of = queue.JOBS, queue.PAYLOADS, queue.OPEN, queue.key_of
local group_key, deliveries_key = queue.group_key, queue.deliveries_key
local later, count = writes.later, writes.count
local OCCURRENCE, has, unpack_job = records.OCCURRENCE, records.has, records.unpack_job

local jobs = {}

function jobs.due_member(key, gid)
  local padded = string.format('%016.0f', key)
  return gid and padded .. ':' .. gid or padded
end

function jobs.read(key)
  local raw = call('HGET', JOBS, key)
  return raw and unpack_job(raw) or nil
end

function jobs.ids_key(job)
  return key_of(has(job.flags, OCCURRENCE) and 'occurrences' or 'ids')
end

function jobs.without(open, gid)
  local from, to = string.find(open, ',' .. gid .. ',', 1, true)
  return from and string.sub(open, 1, from) .. string.sub(open, to + 1) or open
end

-- Removes the record; its id is free.
function jobs.remove(key, job)
  later('HDEL', JOBS, key)
  if not job.payload then
    later('HDEL', PAYLOADS, key)
  end
  later('HDEL', jobs.ids_key(job), job.id)
  if job.expires_at > 0 then
    later('ZREM', key_of('expiry'), key)
  end
  if has(job.flags, OCCURRENCE) then
    get_series().removed(key, job)
  end
end

-- The delivery in the group has ended; the job goes with its last one. `open` is what is stored, or false.
function jobs.close(key, job, gid, open)
  local rest = jobs.without(open or job.fan, gid)
  if rest ~= ',' then
    call('HSET', OPEN, key, rest)
    return
  end
  if open then
    later('HDEL', OPEN, key)
  end
  jobs.remove(key, job)
end

-- Ends a delivery that was claimed once.
function jobs.finish(key, job, gid, open, outcome)
  later('HDEL', deliveries_key(gid), key)
  count(group_key(gid), outcome, 1)
  if has(job.flags, OCCURRENCE) then
    get_series().ended(job, gid, false, outcome)
  end
  jobs.close(key, job, gid, open)
end

return jobs
