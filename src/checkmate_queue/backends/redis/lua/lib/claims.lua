-- Claiming: the front of a priority first, then its list; numbers that stand for nothing are passed over.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua
-- include: lib/groups.lua

local call = redis.call
local BATCH, JOBS, PAYLOADS, group_key = queue.BATCH, queue.JOBS, queue.PAYLOADS, queue.group_key
local deliveries_key, priorities_key, ready_key = queue.deliveries_key, queue.priorities_key, queue.ready_key
local front_key, claims_key = queue.front_key, queue.claims_key
local send, read, count = writes.send, writes.read, writes.count
local FORMAT, DELIVERY, CLAIMED, QUEUED = records.FORMAT, records.DELIVERY, records.CLAIMED, records.QUEUED
local FRONT, OCCURRENCE, CLOSED, has = records.FRONT, records.OCCURRENCE, records.CLOSED, records.has
local unpack_job, job_fields, unpack_delivery = records.unpack_job, records.job_fields, records.unpack_delivery

local claims = {}

local WIDTH = 8

-- A set of claims: keys, what was stored of each delivery, keys of those whose payload lies apart and where in the
-- answer it goes, and the values of the answer, 8 for each: key, id, priority,
-- enqueued_at, attempts, stalls, format, payload.
function claims.none()
  return {keys = {}, since = {}, sequences = {}, answer = {}, apart = {}, apart_at = {}}
end

local function include(taken, key, raw, since, attempts, stalls, sequence)
  local format, _, _, priority, enqueued_at, _, _, id_at, fan_at, _, payload_at = job_fields(raw)
  local answer, position = taken.answer, #taken.keys + 1
  local at = (position - 1) * WIDTH
  taken.keys[position], taken.since[position], taken.sequences[position] = key, since, sequence
  answer[at + 1], answer[at + 2], answer[at + 3] = key, string.sub(raw, id_at, fan_at - 1), priority
  answer[at + 4], answer[at + 5], answer[at + 6], answer[at + 7] = enqueued_at, attempts, stalls, format
  if payload_at then
    answer[at + 8] = string.sub(raw, payload_at)
  else
    taken.apart[#taken.apart + 1] = key
    taken.apart_at[#taken.apart] = at + 8
  end
end

local function job_flags(raw)
  local _, _, flags = job_fields(raw)
  return flags
end

-- A delivery that was never claimed.
local function include_fresh(taken, key, raw, group)
  local _, _, flags, _, _, since, _, _, fan_at, token_at = job_fields(raw)
  if has(flags, CLOSED) then
    return
  end
  if has(flags, OCCURRENCE) then
    get_series().started(unpack_job(raw), group.gid)
  end
  if group.filling ~= '' then
    since = groups.since(group, string.sub(raw, fan_at, token_at - 1), since)
  end
  include(taken, key, raw, since, 0, 0, 0)
end

-- Includes those of the keys that stand for a delivery in this state.
local function include_all(taken, keys, group, state)
  local gid = group.gid
  local raw_jobs, raw_deliveries = read(JOBS, keys), read(deliveries_key(gid), keys)
  for i, key in ipairs(keys) do
    local raw = raw_jobs[i]
    local delivery = raw and raw_deliveries[i] and unpack_delivery(raw_deliveries[i])
    if delivery and delivery.state == state then
      if delivery.sequence == 0 and has(job_flags(raw), OCCURRENCE) then
        get_series().started(unpack_job(raw), gid)
      end
      include(taken, key, raw, delivery.since, delivery.attempts, delivery.stalls, delivery.sequence)
    elseif raw and not raw_deliveries[i] and state == QUEUED then
      include_fresh(taken, key, raw, group)
    elseif raw and raw_deliveries[i] and not delivery then
      include(taken, key, raw, 0, 0, 0, 0)
      taken.answer[#taken.keys * WIDTH - 1] = 0 -- can't be read (X3)
    end
  end
end

local function take_front(group, priority, want, taken)
  local popped = call('ZPOPMIN', front_key(group.gid, priority), want)
  local keys = {}
  for i = 1, #popped, 2 do
    keys[#keys + 1] = popped[i]
  end
  include_all(taken, keys, group, FRONT)
  return #keys
end

-- Takes from one priority; returns how many numbers it looked at.
local function take_priority(group, priority, want, taken)
  local gid = group.gid
  local wanted = #taken.keys + want
  local looked = take_front(group, priority, want, taken)
  if #taken.keys < wanted then
    local keys = call('LPOP', ready_key(gid, priority), wanted - #taken.keys) or {}
    include_all(taken, keys, group, QUEUED)
    looked = looked + #keys
  end
  if call('EXISTS', ready_key(gid, priority), front_key(gid, priority)) == 0 then
    call('ZREM', priorities_key(gid), priority)
  end
  return looked
end

local function record(taken, gid, epoch)
  local keys, answer, amount = taken.keys, taken.answer, #taken.keys
  local sequence = call('HINCRBY', KEYS[1], 'claims', amount) - amount
  local owner, fields = tonumber(epoch), {}
  for i, key in ipairs(keys) do
    local at = (i - 1) * WIDTH
    fields[2 * i - 1] = key
    fields[2 * i] = struct.pack(DELIVERY, FORMAT, CLAIMED, 0, answer[at + 5], answer[at + 6], sequence + i, owner,
      taken.since[i])
  end
  send('HSET', deliveries_key(gid), fields)
  send('SADD', claims_key(epoch, gid), keys)
  count(group_key(gid), 'pending', -amount)
  count(group_key(gid), 'processing', amount)
end

-- Claims up to `want` ready deliveries in starting order. Second: whether it stopped for the length of the step.
function claims.take(group, epoch, want)
  local gid = group.gid
  local taken, looked = claims.none(), 0
  while #taken.keys < want and looked < BATCH do
    local priority = call('ZREVRANGE', priorities_key(gid), 0, 0)[1]
    if not priority then
      break
    end
    looked = looked + math.max(1, take_priority(group, priority, math.min(want - #taken.keys, BATCH), taken))
  end
  if #taken.keys > 0 then
    record(taken, gid, epoch)
  end
  return taken, #taken.keys < want and looked >= BATCH
end

-- Adds claims that are held in this state.
function claims.read(taken, keys, group, state)
  include_all(taken, keys, group, state)
end

-- The answer, payloads included.
function claims.answer(taken)
  local answer = taken.answer
  for i, payload in ipairs(read(PAYLOADS, taken.apart)) do
    answer[taken.apart_at[i]] = payload
  end
  return answer
end

return claims
