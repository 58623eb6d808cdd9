-- Making jobs ready.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua

local now, JOBS, PAYLOADS, int, key_of = queue.now, queue.JOBS, queue.PAYLOADS, queue.int, queue.key_of
local later, count, push = writes.later, writes.count, writes.push
local UNCLAIMED, READY, OCCURRENCE, DROP = records.UNCLAIMED, records.READY, records.OCCURRENCE, records.DROP
local has, pack_job, SMALL = records.has, records.pack_job, records.SMALL

local readying = {}

-- The groups of a job, as it carries them.
function readying.fan(gids)
  return ',' .. table.concat(gids, ',') .. ','
end

-- In each of these groups, at the end of its priority.
function readying.fan_out(key, job, gids)
  job.state = READY
  job.fan = readying.fan(gids)
  later('HSET', JOBS, key, pack_job(job))
  for _, gid in ipairs(gids) do
    push(key, job.priority, gid)
    if has(job.flags, OCCURRENCE) then
      get_series().readied(job, gid)
    end
  end
end

local function drop(key, job)
  count(KEYS[1], 'expired', 1)
  if has(job.flags, OCCURRENCE) then
    get_series().ended(job, nil, true, 'expired')
  end
  jobs.remove(key, job)
end

local function hold(key, job)
  job.state = UNCLAIMED
  later('HSET', JOBS, key, pack_job(job))
  later('RPUSH', key_of('unclaimed'), key)
  count(KEYS[1], 'unclaimed', 1)
  if has(job.flags, OCCURRENCE) then
    get_series().unclaimed(job, 1)
  end
end

-- Without a group the job becomes unclaimed, or ends (G1, G2).
function readying.make_ready(key, job, gids)
  job.since = now
  if #gids > 0 then
    readying.fan_out(key, job, gids)
  elseif has(job.flags, DROP) then
    drop(key, job)
  else
    hold(key, job)
  end
end

-- Stores the payload and the id of a new job; a small payload goes into its record.
function readying.create(key, job, payload)
  later('HSET', jobs.ids_key(job), job.id, key)
  if #payload <= SMALL then
    job.payload = payload
  else
    later('HSET', PAYLOADS, key, payload)
  end
  if job.expires_at > 0 then
    later('ZADD', key_of('expiry'), int(job.expires_at), key)
  end
end

return readying
