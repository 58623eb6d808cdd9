-- What a schedule knows of its jobs: which live, and how many deliveries each group has of it (R5, R6).
-- include: lib/queue.lua
-- include: lib/records.lua

local schedules = {}

function schedules.id_of(job)
  return string.match(job.id, '^(.*):%-?%d+$')
end

-- Changes the number of deliveries: field "waiting:<gid>" (never claimed), "existing:<gid>" or "unclaimed".
local function change(id, field, delta)
  local key = key_of('schedule-deliveries:' .. id)
  if call('HINCRBY', key, field, delta) <= 0 then
    call('HDEL', key, field)
  end
end

function schedules.unclaimed(job, delta)
  if records.has(job.flags, OCCURRENCE) then
    change(schedules.id_of(job), 'unclaimed', delta)
  end
end

function schedules.readied(job, gid)
  if records.has(job.flags, OCCURRENCE) then
    local id = schedules.id_of(job)
    change(id, 'waiting:' .. gid, 1)
    change(id, 'existing:' .. gid, 1)
  end
end

function schedules.started(job, gid)
  if records.has(job.flags, OCCURRENCE) then
    change(schedules.id_of(job), 'waiting:' .. gid, -1)
  end
end

-- The end of a job's delivery in a group, or of an unclaimed job (gid nil).
function schedules.ended(job, gid, waiting, outcome)
  if not records.has(job.flags, OCCURRENCE) then
    return
  end
  local id = schedules.id_of(job)
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
