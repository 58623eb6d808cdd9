-- Filling a group that starts from the earliest with what other groups have not finished (G3), in batches: first the
-- numbers are gathered and sorted, then they go before all that the group got since, the last one first.
-- `fills` maps the group to "<cursor>:<last number at its registration>", or to "drain".
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua

local fills = {}

local function has_group(list, gid)
  return string.find(list, ',' .. gid .. ',', 1, true) ~= nil
end

-- Those that became ready after the registration carry the group in their record.
local function wanted(job, open, gid)
  return job.state == READY and not records.has(job.flags, CLOSED) and not has_group(job.fan, gid)
    and not (open and has_group(open, gid))
end

local function gather(gid, cursor, last)
  local page = call('HSCAN', key_of('jobs'), cursor, 'COUNT', BATCH)
  for i = 1, #page[2], 2 do
    local key = page[2][i]
    local job = records.unpack_job(page[2][i + 1])
    if tonumber(key) <= tonumber(last) and wanted(job, call('HGET', key_of('open'), key), gid) then
      later('ZADD', key_of('fill:' .. gid), key, key)
    end
  end
  writes.flush()
  call('HSET', key_of('fills'), gid, page[1] == '0' and 'drain' or page[1] .. ':' .. last)
end

local function drain(gid)
  local popped = call('ZPOPMAX', key_of('fill:' .. gid), BATCH)
  for i = 1, #popped, 2 do
    local key = popped[i]
    local job = jobs.read(key)
    local open = job and jobs.open_groups(key, job)
    if job and wanted(job, open, gid) then
      call('HSET', key_of('open'), key, open .. gid .. ',')
      later('LPUSH', ready_key(gid, int(job.priority)), key)
      later('ZADD', priorities_key(gid), job.priority, job.priority)
      count(group_key(gid), 'pending', 1)
      schedules.readied(job, gid)
    end
  end
  writes.flush()
  if #popped == 0 then
    call('HDEL', key_of('fills'), gid)
  end
end

function fills.start(gid)
  call('HSET', key_of('fills'), gid, '0:' .. (call('HGET', KEYS[1], 'jobs') or '0'))
end

-- Does up to a batch; true once the group is filled.
function fills.filled(gid)
  local state = call('HGET', key_of('fills'), gid)
  if not state then
    return true
  end
  if state == 'drain' then
    drain(gid)
  else
    local cursor, last = string.match(state, '^(%d+):(%d+)$')
    gather(gid, cursor, last)
  end
  return call('HEXISTS', key_of('fills'), gid) == 0
end
