-- Stored schedules as they are answered; `schedules_due` has their next due times.
-- include: lib/queue.lua

local call = redis.call
local now, int, key_of = queue.now, queue.int, queue.key_of

local schedule_records = {}

-- id, data, definition, timing, form, priority, misfire, overlap, unclaimed, first_at, revision, anchor, next_at or '',
-- last_run_at or false, last_outcome or false
function schedule_records.read(id)
  local stored = call('HMGET', key_of('schedule:' .. id), 'data', 'definition', 'timing', 'form', 'priority', 'misfire',
    'overlap', 'unclaimed', 'first_at', 'revision', 'anchor', 'next_at', 'last_run_at', 'last_outcome')
  table.insert(stored, 1, id)
  return stored
end

function schedule_records.due(limit)
  local found = {}
  local ids = call('ZRANGEBYSCORE', key_of('schedules_due'), '-inf', int(now), 'LIMIT', 0, limit)
  for i, id in ipairs(ids) do
    found[i] = schedule_records.read(id)
  end
  return found
end

-- Notes the next due time, '' for never.
function schedule_records.plan(id, next_at)
  call('HSET', key_of('schedule:' .. id), 'next_at', next_at)
  if next_at == '' then
    call('ZREM', key_of('schedules_due'), id)
  else
    call('ZADD', key_of('schedules_due'), next_at, id)
  end
end

return schedule_records
