-- A schedule's jobs: which live, and how many deliveries of them each group has (R5, R6). All of it may outlive the
-- schedule, and goes with the last job.
-- include: lib/queue.lua

local call = redis.call
local key_of = queue.key_of
local later = writes.later

local series = {}

function series.id_of(job)
  return string.match(job.id, '^(.*):%-?%d+$')
end

-- Changes the number of deliveries: field "waiting:<gid>" (never claimed), "existing:<gid>" or "unclaimed".
local function change(id, field, delta)
  local key = key_of('schedule-deliveries:' .. id)
  if call('HINCRBY', key, field, delta) <= 0 then
    call('HDEL', key, field)
  end
end

function series.unclaimed(job, delta)
  change(series.id_of(job), 'unclaimed', delta)
end

function series.readied(job, gid)
  local id = series.id_of(job)
  change(id, 'waiting:' .. gid, 1)
  change(id, 'existing:' .. gid, 1)
end

-- A delivery that was claimed once comes from another backend.
function series.moved(job, gid)
  change(series.id_of(job), 'existing:' .. gid, 1)
end

function series.started(job, gid)
  change(series.id_of(job), 'waiting:' .. gid, -1)
end

-- The end of a job's delivery in a group, or of a job without one (gid nil).
function series.ended(job, gid, waiting, outcome)
  local id = series.id_of(job)
  if gid then
    change(id, 'existing:' .. gid, -1)
    if waiting then
      change(id, 'waiting:' .. gid, -1)
    end
  end
  if call('EXISTS', key_of('schedule:' .. id)) == 1 then
    call('HSET', key_of('schedule:' .. id), 'last_outcome', outcome)
  end
end

-- Lists the job among those that a replacement of the schedule looks at.
function series.list(key, job)
  later('SADD', key_of('schedule-jobs:' .. series.id_of(job)), key)
end

function series.removed(key, job)
  later('SREM', key_of('schedule-jobs:' .. series.id_of(job)), key)
end

return series
