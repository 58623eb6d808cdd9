-- A job's way from its making to its end.
-- `jobs` and `payloads` hold its record, `ids` or `occurrences` its id. A job that is ready carries the groups it was
-- fanned out to in its record, ",1,2,"; `open` holds what is left of them once they differ.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/groups.lua
-- include: lib/schedules.lua

local jobs = {pushed = 0}

function jobs.due_member(key, gid)
  local padded = string.format('%016.0f', key)
  return gid and padded .. ':' .. gid or padded
end

function jobs.read(key)
  local raw = call('HGET', key_of('jobs'), key)
  return raw and records.unpack_job(raw) or nil
end

function jobs.save(key, job)
  later('HSET', key_of('jobs'), key, records.pack_job(job))
end

function jobs.ids_key(job)
  return key_of(records.has(job.flags, OCCURRENCE) and 'occurrences' or 'ids')
end

function jobs.open_groups(key, job)
  return call('HGET', key_of('open'), key) or job.fan
end

local function without(open, gid)
  local from, to = string.find(open, ',' .. gid .. ',', 1, true)
  return from and string.sub(open, 1, from) .. string.sub(open, to + 1) or open
end

-- Removes the record; its id is free.
function jobs.remove(key, job)
  later('HDEL', key_of('jobs'), key)
  later('HDEL', key_of('payloads'), key)
  later('HDEL', jobs.ids_key(job), job.id)
  if job.expires_at > 0 then
    later('ZREM', key_of('expiry'), key)
  end
  if records.has(job.flags, OCCURRENCE) then
    later('SREM', key_of('schedule-jobs:' .. schedules.id_of(job)), key)
  end
end

-- The delivery in the group has ended; the job goes with its last one. `open` is what is stored, if read already.
function jobs.close(key, job, gid, open)
  local rest = without(open or job.fan, gid)
  if rest ~= ',' then
    call('HSET', key_of('open'), key, rest)
    return
  end
  if open then
    later('HDEL', key_of('open'), key)
  end
  jobs.remove(key, job)
end

-- Ends a delivery that was claimed once.
function jobs.finish(key, job, gid, open, outcome)
  later('HDEL', deliveries_key(gid), key)
  count(group_key(gid), outcome, 1)
  schedules.ended(job, gid, false, outcome)
  jobs.close(key, job, gid, open)
end

local function end_ready(key, job, outcome)
  local open = jobs.open_groups(key, job)
  local rest = open
  for gid in string.gmatch(open, '%d+') do
    if call('HEXISTS', deliveries_key(gid), key) == 0 then
      count(group_key(gid), 'pending', -1)
      count(group_key(gid), outcome, 1)
      schedules.ended(job, gid, true, outcome)
      rest = without(rest, gid)
    end
  end
  if rest == ',' then
    later('HDEL', key_of('open'), key)
    jobs.remove(key, job)
  elseif rest ~= open then
    call('HSET', key_of('open'), key, rest)
    job.flags = job.flags + (records.has(job.flags, CLOSED) and 0 or CLOSED)
    call('HSET', key_of('jobs'), key, records.pack_job(job))
  end
end

-- Ends what of the job was never claimed; its number stays behind in the lists and is passed over there.
function jobs.end_waiting(key, job, outcome)
  if job.state == READY then
    return end_ready(key, job, outcome)
  end
  if job.state == DELAYED then
    later('ZREM', key_of('due'), jobs.due_member(key))
    count(KEYS[1], 'delayed', -1)
  else
    count(KEYS[1], 'unclaimed', -1)
    schedules.unclaimed(job, -1)
  end
  schedules.ended(job, nil, true, outcome)
  count(KEYS[1], outcome, 1)
  jobs.remove(key, job)
end

-- Puts a delivery at the end of its priority.
function jobs.push(key, priority, gid)
  later('RPUSH', ready_key(gid, priority), key)
  later('ZADD', priorities_key(gid), priority, priority)
  count(group_key(gid), 'pending', 1)
  jobs.pushed = jobs.pushed + 1
end

-- Makes a job ready in these groups, in each at the end of its priority.
function jobs.fan_out(key, job, gids)
  job.state = READY
  job.fan = ',' .. table.concat(gids, ',') .. ','
  jobs.save(key, job)
  for _, gid in ipairs(gids) do
    jobs.push(key, job.priority, gid)
    schedules.readied(job, gid)
  end
end

-- Makes a new or due job ready now, or unclaimed, or drops it (G1, G2).
function jobs.make_ready(key, job, gids)
  job.since = now
  if #gids > 0 then
    return jobs.fan_out(key, job, gids)
  end
  if records.has(job.flags, DROP) then
    count(KEYS[1], 'expired', 1)
    schedules.ended(job, nil, true, 'expired')
    return jobs.remove(key, job)
  end
  job.state = UNCLAIMED
  jobs.save(key, job)
  later('RPUSH', key_of('unclaimed'), key)
  count(KEYS[1], 'unclaimed', 1)
  schedules.unclaimed(job, 1)
end

-- Stores the payload and the id of a new job.
function jobs.create(key, job, payload)
  later('HSET', jobs.ids_key(job), job.id, key)
  later('HSET', key_of('payloads'), key, payload)
  if job.expires_at > 0 then
    later('ZADD', key_of('expiry'), int(job.expires_at), key)
  end
end
