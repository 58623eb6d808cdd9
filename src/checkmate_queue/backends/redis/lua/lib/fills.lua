-- Filling a group that starts from the earliest with what other groups have not finished (G3), in batches: first the
-- numbers are gathered and sorted, then they go before all that the group got since, the last one first.
-- The group notes how far it has come: "<cursor>:<last number at its registration>", then "drain", then "done".
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua
-- include: lib/waiting.lua
-- include: lib/groups.lua

local call = redis.call
local now = queue.now
local BATCH, JOBS, OPEN, key_of, group_key = queue.BATCH, queue.JOBS, queue.OPEN, queue.key_of, queue.group_key
local deliveries_key, priorities_key, ready_key = queue.deliveries_key, queue.priorities_key, queue.ready_key
local later, count, flush = writes.later, writes.count, writes.flush
local READY, OCCURRENCE, CLOSED, has = records.READY, records.OCCURRENCE, records.CLOSED, records.has
local QUEUED, unpack_job, pack_delivery = records.QUEUED, records.unpack_job, records.pack_delivery

local fills = {}

local function has_group(list, gid)
  return string.find(list, ',' .. gid .. ',', 1, true) ~= nil
end

-- Those that became ready after the registration carry the group in their record; one that has expired, and lives only
-- where it was claimed in time, makes no new delivery (J9).
local function wanted(job, open, gid)
  local has_it = has_group(job.fan, gid) or (open and has_group(open, gid))
  local has_expired = job.expires_at > 0 and job.expires_at <= now
  return job.state == READY and not has_it and not has_expired
end

local function gather(gid, cursor, last)
  local page = call('HSCAN', JOBS, cursor, 'COUNT', BATCH)
  for i = 1, #page[2], 2 do
    local key = page[2][i]
    local job = unpack_job(page[2][i + 1])
    if tonumber(key) <= last and wanted(job, call('HGET', OPEN, key), gid) then
      later('ZADD', key_of('fill:' .. gid), key, key)
    end
  end
  flush()
  return page[1]
end

local function drain(group)
  local gid = group.gid
  local popped = call('ZPOPMAX', key_of('fill:' .. gid), BATCH)
  for i = 1, #popped, 2 do
    local key = popped[i]
    local job = jobs.read(key)
    local open = job and waiting.open_groups(key, job)
    if job and wanted(job, open, gid) then
      call('HSET', OPEN, key, open .. gid .. ',')
      if has(job.flags, CLOSED) then -- without a record its number would stand for nothing
        later('HSET', deliveries_key(gid), key, pack_delivery({state = QUEUED, cancelled = 0, attempts = 0, stalls = 0,
          sequence = 0, epoch = 0, since = group.registered_at}))
      end
      later('LPUSH', ready_key(gid, job.priority), key)
      later('ZADD', priorities_key(gid), job.priority, job.priority)
      count(group_key(gid), 'pending', 1)
      if has(job.flags, OCCURRENCE) then
        get_series().list(key, job)
        get_series().readied(job, gid)
      end
    end
  end
  flush()
  return #popped > 0
end

function fills.start(group)
  group.filling = '0:' .. (call('HGET', KEYS[1], 'jobs') or '0')
end

-- Does a batch; true once the group is filled.
function fills.go_on(group)
  if group.filling ~= 'drain' then
    local cursor, last = string.match(group.filling, '^(%d+):(%d+)$')
    local following = gather(group.gid, cursor, tonumber(last))
    group.filling = following == '0' and 'drain' or following .. ':' .. last
  elseif not drain(group) then
    group.filling = 'done'
  end
  groups.save(group)
  return group.filling == 'done'
end

return fills
