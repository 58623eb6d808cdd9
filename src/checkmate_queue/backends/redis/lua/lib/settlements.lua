-- What a claim turns into.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua
-- include: lib/due.lua
-- include: lib/failures.lua

local settlements = {}

-- The settlements in ARGV from `from` on, each: kind, key and what the kind needs.
--   done, back, cancelled   nothing more
--   retry                   delay in ms
--   fail                    1 if an attempt failed, error type, message, traceback
-- Returns them and the position behind the last.
function settlements.parse(from, amount)
  local list = {}
  for i = 1, amount do
    local kind = ARGV[from]
    local size = kind == 'fail' and 6 or kind == 'retry' and 3 or 2
    list[i] = {kind = kind, key = ARGV[from + 1], at = from + 2}
    from = from + size
  end
  return list, from
end

local function put_in_front(key, job, gid, delivery)
  delivery.state = FRONT
  later('HSET', deliveries_key(gid), key, records.pack_delivery(delivery))
  later('ZADD', front_key(gid, job.priority), int(delivery.sequence), key)
  later('ZADD', priorities_key(gid), job.priority, job.priority)
  count(group_key(gid), 'pending', 1)
  jobs.pushed = jobs.pushed + 1
end

local function retry(key, job, gid, delivery, delay)
  delivery.state = RETRYING
  delivery.attempts = delivery.attempts + 1
  later('HSET', deliveries_key(gid), key, records.pack_delivery(delivery))
  due.wait(key, gid, now + delay)
  count(group_key(gid), 'retrying', 1)
end

local function fail(key, job, group, delivery, open, at)
  local attempts = delivery.attempts + tonumber(ARGV[at])
  failures.keep(key, job, group.name, attempts, {ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]})
  jobs.finish(key, job, group.gid, open, 'failed')
end

-- Applies one settlement to a claim: what the caller's set of claims loses, it takes from there itself.
function settlements.settle(settlement, job, group, delivery, open)
  local key, gid, kind = settlement.key, group.gid, settlement.kind
  count(group_key(gid), 'processing', -1)
  if delivery.cancelled == 1 or kind == 'cancelled' then
    later('SREM', cancelled_key(int(delivery.epoch)), gid .. ':' .. key)
    jobs.finish(key, job, gid, open, 'cancelled')
  elseif kind == 'done' then
    jobs.finish(key, job, gid, open, 'completed')
  elseif kind == 'back' then
    put_in_front(key, job, gid, delivery)
  elseif kind == 'retry' then
    retry(key, job, gid, delivery, tonumber(ARGV[settlement.at]))
  else
    fail(key, job, group, delivery, open, settlement.at)
  end
end

-- Gives a claim back to the front of its priority (or ends it, if it was cancelled).
function settlements.give_back(key, group, delivery)
  local job = jobs.read(key)
  if job then
    settlements.settle({key = key, kind = 'back'}, job, group, delivery, call('HGET', key_of('open'), key))
  end
end

-- Applies settlements to claims of one group that are in this state and the epoch's. `lose(key)` is called for each
-- one that took effect; returns the keys of the others.
function settlements.apply(list, group, epoch, state, lose)
  local keys, refused, seen = {}, {}, {}
  for i, settlement in ipairs(list) do
    keys[i] = settlement.key
  end
  local deliveries = writes.read(deliveries_key(group.gid), keys)
  local records_of_jobs = writes.read(key_of('jobs'), keys)
  local open = writes.read(key_of('open'), keys)
  for i, settlement in ipairs(list) do
    local key = settlement.key
    local delivery = deliveries[i] and records_of_jobs[i] and not seen[key] and records.unpack_delivery(deliveries[i])
    if delivery and delivery.state == state and int(delivery.epoch) == epoch then
      seen[key] = true
      settlements.settle(settlement, records.unpack_job(records_of_jobs[i]), group, delivery, open[i])
      lose(key)
    else
      refused[#refused + 1] = key
    end
  end
  writes.flush()
  return refused
end
