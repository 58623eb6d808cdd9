-- Reads living jobs with their state in each group.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: id of a job, or ''   5...: keys of jobs
-- returns {'done', for each that lives: key, id, priority, enqueued_at, due_at or 0, expires_at or 0, 1 if unclaimed,
--   payload, {name of a group, state of the delivery, ...}}
-- include: lib/queue.lua
-- include: lib/records.lua
-- include: lib/groups.lua
-- include: lib/waiting.lua

local call = redis.call
local now, PAYLOADS, DUE, key_of = queue.now, queue.PAYLOADS, queue.DUE, queue.key_of
local deliveries_key = queue.deliveries_key
local STATES = {'processing', 'processing', 'retrying', 'pending', 'pending'}

local names = {}
for _, group in ipairs(groups.all()) do
  names[group.gid] = group.name
end

-- Name and state for each delivery; what was never claimed of an expired job is left out (J9).
local function states_of(key, job, is_expired)
  local states = {}
  for gid in string.gmatch(waiting.open_groups(key, job), '%d+') do
    local raw = call('HGET', deliveries_key(gid), key)
    local delivery = raw and records.unpack_delivery(raw)
    local was_claimed = delivery and delivery.sequence > 0
    if names[gid] and (was_claimed or not is_expired) then
      states[#states + 1] = names[gid]
      states[#states + 1] = delivery and STATES[delivery.state] or 'pending'
    end
  end
  return states
end

local answer = {'done'}

local function include(key)
  local job = jobs.read(key)
  if not job then
    return
  end
  local is_ready = job.state == records.READY
  local is_expired = job.expires_at > 0 and job.expires_at <= now
  local states = is_ready and states_of(key, job, is_expired) or {}
  if (is_ready or is_expired) and #states == 0 then
    return
  end
  local due_at = job.state == records.DELAYED and tonumber(call('ZSCORE', DUE, jobs.due_member(key)) or 0) or 0
  local values = {key, job.id, job.priority, job.enqueued_at, due_at, job.expires_at,
    job.state == records.UNCLAIMED and 1 or 0, job.payload or call('HGET', PAYLOADS, key) or '', states}
  for _, value in ipairs(values) do
    answer[#answer + 1] = value
  end
end

if ARGV[4] ~= '' then
  local key = call('HGET', key_of('ids'), ARGV[4]) or call('HGET', key_of('occurrences'), ARGV[4])
  if key then
    include(key)
  end
end
for at = 5, #ARGV do
  include(ARGV[at])
end
return answer
