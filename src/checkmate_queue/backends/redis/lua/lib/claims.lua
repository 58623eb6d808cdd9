-- Claiming: the front of a priority first, then its list; numbers that stand for nothing are passed over.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua

local claims = {}

-- What is at hand of a ready delivery; nil where the number stands for nothing any more.
local function ready_delivery(raw, job, state)
  if raw then
    local delivery = unpack_delivery(raw)
    return delivery and delivery.state == state and delivery or nil
  end
  if state == FRONT or has(job.flags, CLOSED) then
    return nil
  end
  return {attempts = 0, stalls = 0, cancelled = 0, since = job.since, fresh = true}
end

-- Adds those of the keys to `taken` that stand for a delivery in this state.
local function take_keys(keys, gid, state, taken)
  local raw_jobs, raw_deliveries = read(JOBS, keys), read(deliveries_key(gid), keys)
  for i, key in ipairs(keys) do
    local job = raw_jobs[i] and unpack_job(raw_jobs[i])
    local delivery = job and ready_delivery(raw_deliveries[i], job, state)
    if delivery then
      taken[#taken + 1] = {key = key, job = job, delivery = delivery}
    end
  end
end

local function take_front(gid, priority, want, taken)
  local popped = call('ZPOPMIN', front_key(gid, priority), want)
  local keys = {}
  for i = 1, #popped, 2 do
    keys[#keys + 1] = popped[i]
  end
  take_keys(keys, gid, FRONT, taken)
  return #keys
end

-- Takes from one priority; returns how many numbers it looked at.
local function take_priority(gid, priority, want, taken)
  local wanted = #taken + want
  local looked = take_front(gid, priority, want, taken)
  if #taken < wanted then
    local keys = call('LPOP', ready_key(gid, priority), wanted - #taken) or {}
    take_keys(keys, gid, QUEUED, taken)
    looked = looked + #keys
  end
  if call('EXISTS', ready_key(gid, priority), front_key(gid, priority)) == 0 then
    call('ZREM', priorities_key(gid), priority)
  end
  return looked
end

local function record(taken, gid, epoch)
  local sequence = call('HINCRBY', KEYS[1], 'claims', #taken) - #taken
  local keys, pairs_of_deliveries = {}, {}
  epoch = tonumber(epoch)
  for i, claim in ipairs(taken) do
    local delivery = claim.delivery
    if delivery.fresh and has(claim.job.flags, OCCURRENCE) then
      get_series().started(claim.job, gid)
    end
    delivery.state, delivery.sequence, delivery.epoch = CLAIMED, sequence + i, epoch
    keys[i] = claim.key
    pairs_of_deliveries[2 * i - 1], pairs_of_deliveries[2 * i] = claim.key, pack_delivery(delivery)
  end
  send('HSET', deliveries_key(gid), pairs_of_deliveries)
  send('SADD', claims_key(int(epoch), gid), keys)
  count(group_key(gid), 'pending', -#taken)
  count(group_key(gid), 'processing', #taken)
end

-- Claims up to `want` ready deliveries in starting order. Second: whether it stopped for the length of the step.
function claims.take(gid, epoch, want)
  local taken, looked = {}, 0
  while #taken < want and looked < BATCH do
    local priority = call('ZREVRANGE', priorities_key(gid), 0, 0)[1]
    if not priority then
      break
    end
    looked = looked + math.max(1, take_priority(gid, priority, math.min(want - #taken, BATCH), taken))
  end
  if #taken > 0 then
    record(taken, gid, epoch)
  end
  return taken, #taken < want and looked >= BATCH
end

-- The claims as they are answered, 8 values for each: key, id, priority, enqueued_at, attempts, stalls, format, payload.
function claims.answer(taken)
  local keys, answer = {}, {}
  for i, claim in ipairs(taken) do
    keys[i] = claim.key
  end
  local payloads = read(PAYLOADS, keys)
  local at = 0
  for i, claim in ipairs(taken) do
    local job, delivery = claim.job, claim.delivery
    answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] = claim.key, job.id, job.priority, job.enqueued_at
    answer[at + 5], answer[at + 6], answer[at + 7] = delivery.attempts, delivery.stalls, job.format
    answer[at + 8] = payloads[i]
    at = at + 8
  end
  return answer
end

-- Reads claims back by their keys.
function claims.read(keys, gid)
  local raw_jobs, raw_deliveries = read(JOBS, keys), read(deliveries_key(gid), keys)
  local found = {}
  for i, key in ipairs(keys) do
    local delivery = raw_jobs[i] and raw_deliveries[i] and unpack_delivery(raw_deliveries[i])
    if delivery then
      found[#found + 1] = {key = key, job = unpack_job(raw_jobs[i]), delivery = delivery}
    end
  end
  return found
end
