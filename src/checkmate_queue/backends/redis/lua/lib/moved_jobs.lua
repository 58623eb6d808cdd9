-- Storing jobs that move here, and their deliveries that are ready. A job comes before its deliveries: its record, which
-- says that it is ready in no group, gets each group added when the delivery comes.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua
-- include: lib/groups.lua

local call = redis.call
local JOBS, PAYLOADS, DUE = queue.JOBS, queue.PAYLOADS, queue.DUE
local key_of, group_key, deliveries_key = queue.key_of, queue.group_key, queue.deliveries_key
local priorities_key, front_key = queue.priorities_key, queue.front_key
local send, read, later, count, push = writes.send, writes.read, writes.later, writes.count, writes.push
local UNCLAIMED, QUEUED, FRONT, OCCURRENCE = records.UNCLAIMED, records.QUEUED, records.FRONT, records.OCCURRENCE
local has, job_fields, unpack_job, pack_job = records.has, records.job_fields, records.unpack_job, records.pack_job
local pack_delivery = records.pack_delivery

local moved_jobs = {}

local known, changed, order, gids = {}, {}, {}, {}

function moved_jobs.plain(at)
  local ids, stored, from = {}, {}, at + 1
  for key in string.gmatch(ARGV[at], '%d+') do
    local record = ARGV[from]
    local _, _, _, _, _, _, _, id_at, fan_at = job_fields(record)
    from = from + 1
    ids[#ids + 1] = string.sub(record, id_at, fan_at - 1)
    ids[#ids + 1] = key
    stored[#stored + 1] = key
    stored[#stored + 1] = record
  end
  send('HSET', key_of('ids'), ids)
  send('HSET', JOBS, stored)
  return from
end

function moved_jobs.special(at)
  local key, id, record, is_apart, payload, due_at, expires_at, schedule = unpack(ARGV, at, at + 7)
  later('HSET', JOBS, key, record)
  later('HSET', key_of(schedule ~= '' and 'occurrences' or 'ids'), id, key)
  if is_apart == '1' then
    later('HSET', PAYLOADS, key, payload)
  end
  if due_at ~= '' then
    later('ZADD', DUE, due_at, jobs.due_member(key))
    count(KEYS[1], 'delayed', 1)
  end
  if expires_at ~= '' then
    later('ZADD', key_of('expiry'), expires_at, key)
  end
  if schedule ~= '' then
    later('SADD', key_of('schedule-jobs:' .. schedule), key)
  end
  return at + 8
end

function moved_jobs.gid_of(name)
  local gid = gids[name]
  if not gid then
    gid = groups.find(name).gid
    gids[name] = gid
  end
  return gid
end

-- Has the records of these jobs at hand.
local function load(keys)
  local missing = {}
  for _, key in ipairs(keys) do
    if known[key] == nil then
      missing[#missing + 1] = key
    end
  end
  if #missing > 0 then
    writes.flush()
    for i, raw in ipairs(read(JOBS, missing)) do
      known[missing[i]] = raw
    end
  end
end

local function change(key, raw)
  known[key] = raw
  if not changed[key] then
    changed[key] = true
    order[#order + 1] = key
  end
end

-- Adds the group to those of the job; returns its priority, flags and since when it is ready: that of the first group,
-- if it says so. Nil for a job that is not there.
function moved_jobs.enlist(key, gid, since)
  if known[key] == nil then
    load({key})
  end
  local raw = known[key]
  if not raw then
    return nil
  end
  local format, _, flags, priority, _, job_since, _, _, from, to = job_fields(raw)
  if format == 0 then
    return 0, 0, since -- can't be read (X3)
  end
  local fan = string.sub(raw, from, to - 1)
  if since and fan == ',' and since ~= job_since then
    local job = unpack_job(raw)
    job.since, job.fan, job_since = since, ',' .. gid .. ',', since
    change(key, pack_job(job))
  else
    change(key, records.with_fan(raw, fan .. gid .. ',', from, to))
  end
  return priority, flags, job_since
end

function moved_jobs.series_job(key)
  return unpack_job(known[key])
end

function moved_jobs.unclaimed(at)
  local key = ARGV[at]
  load({key})
  local job = known[key] and unpack_job(known[key])
  if job then
    job.state, job.since, job.fan = UNCLAIMED, tonumber(ARGV[at + 1]), ''
    change(key, pack_job(job))
    later('RPUSH', key_of('unclaimed'), key)
    count(KEYS[1], 'unclaimed', 1)
    if has(job.flags, OCCURRENCE) then
      get_series().unclaimed(job, 1)
    end
  end
  return at + 2
end

local function keep(key, gid, state, attempts, stalls, sequence, since)
  later('HSET', deliveries_key(gid), key, pack_delivery({state = state, cancelled = 0, attempts = attempts,
    stalls = stalls, sequence = sequence, epoch = 0, since = since}))
end

-- Deliveries that were never claimed. Only one that has waited longer or shorter than its job in the group that came
-- first has a record of its own.
function moved_jobs.fresh(at)
  local gid, keys, sinces = moved_jobs.gid_of(ARGV[at]), {}, {}
  for key, since in string.gmatch(ARGV[at + 1], '(%d+):(%-?%d+)') do
    keys[#keys + 1], sinces[#sinces + 1] = key, tonumber(since)
  end
  load(keys)
  for i, key in ipairs(keys) do
    local priority, flags, job_since = moved_jobs.enlist(key, gid, sinces[i])
    if priority then
      if job_since ~= sinces[i] then
        keep(key, gid, QUEUED, 0, 0, 0, sinces[i])
      end
      push(key, priority, gid)
      if has(flags, OCCURRENCE) then
        get_series().readied(moved_jobs.series_job(key), gid)
      end
    end
  end
  return at + 2
end

function moved_jobs.started(at)
  local gid, key = moved_jobs.gid_of(ARGV[at]), ARGV[at + 1]
  local attempts, stalls, since, sequence = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]),
    tonumber(ARGV[at + 5])
  local is_front = ARGV[at + 6] == '1'
  local priority, flags = moved_jobs.enlist(key, gid)
  if priority then
    keep(key, gid, is_front and FRONT or QUEUED, attempts, stalls, sequence, since)
    if is_front then
      later('ZADD', front_key(gid, priority), ARGV[at + 5], key)
      later('ZADD', priorities_key(gid), priority, priority)
      count(group_key(gid), 'pending', 1)
    else
      push(key, priority, gid)
    end
    if has(flags, OCCURRENCE) then
      get_series().moved(moved_jobs.series_job(key), gid)
    end
  end
  return at + 7
end

function moved_jobs.finish()
  local stored = {}
  for _, key in ipairs(order) do
    stored[#stored + 1], stored[#stored + 2] = key, known[key]
  end
  writes.flush()
  send('HSET', JOBS, stored)
end

return moved_jobs
