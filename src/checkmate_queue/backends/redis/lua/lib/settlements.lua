-- What a claim turns into.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua
-- include on demand: lib/failures.lua

local call = redis.call
local now, JOBS, PAYLOADS, OPEN, DUE, int = queue.now, queue.JOBS, queue.PAYLOADS, queue.OPEN, queue.DUE, queue.int
local BATCH = queue.BATCH
local key_of, group_key, deliveries_key = queue.key_of, queue.group_key, queue.deliveries_key
local priorities_key, front_key, epoch_key = queue.priorities_key, queue.front_key, queue.epoch_key
local send, read, later, count, flush = writes.send, writes.read, writes.later, writes.count, writes.flush
local FORMAT, DELIVERY, DELIVERY_SIZE = records.FORMAT, records.DELIVERY, records.DELIVERY_SIZE
local RETRYING, FRONT, OCCURRENCE, has = records.RETRYING, records.FRONT, records.OCCURRENCE, records.has
local unpack_job, job_fields, pack_delivery = records.unpack_job, records.job_fields, records.pack_delivery
local unpack_delivery = records.unpack_delivery

local settlements = {failed = 0} -- how many entries were kept

-- The settlements in ARGV from `from` on, each: kind, key and what the kind needs. A run of `done` has all its keys in
-- one text with commas.
--   done, back, cancelled   nothing more
--   retry                   delay in ms
--   fail                    1 if an attempt failed, error type, message, traceback
-- Returns kinds, keys, where the rest of each is, and the position behind the last.
function settlements.parse(from, amount)
  local kinds, keys, rests = {}, {}, {}
  local found = 0
  for _ = 1, amount do
    local kind = ARGV[from]
    if kind == 'done' then
      for key in string.gmatch(ARGV[from + 1], '%-?%d+') do
        found = found + 1
        kinds[found], keys[found], rests[found] = kind, key, 0
      end
    else
      found = found + 1
      kinds[found], keys[found], rests[found] = kind, ARGV[from + 1], from + 2
    end
    from = from + (kind == 'fail' and 6 or kind == 'retry' and 3 or 2)
  end
  return kinds, keys, rests, from
end

local function put_in_front(key, job, gid, delivery)
  delivery.state = FRONT
  later('HSET', deliveries_key(gid), key, pack_delivery(delivery))
  later('ZADD', front_key(gid, job.priority), int(delivery.sequence), key)
  later('ZADD', priorities_key(gid), job.priority, job.priority)
  count(group_key(gid), 'pending', 1)
  writes.note_ready(1)
end

local function retry(key, job, gid, delivery, delay)
  delivery.state = RETRYING
  delivery.attempts = delivery.attempts + 1
  later('HSET', deliveries_key(gid), key, pack_delivery(delivery))
  later('ZADD', DUE, int(now + delay), jobs.due_member(key, gid))
  count(group_key(gid), 'retrying', 1)
end

local function fail(key, job, group, delivery, open, at)
  local attempts = delivery.attempts + tonumber(ARGV[at])
  settlements.failed = settlements.failed + 1
  get_failures().keep(key, job, group.name, attempts, {ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]})
  jobs.finish(key, job, group.gid, open, 'failed')
end

-- Applies one settlement; who calls takes the claim from its set. `rest`: where in ARGV the kind's arguments are.
local function settle(kind, key, rest, job, group, delivery, open)
  local gid = group.gid
  count(group_key(gid), 'processing', -1)
  if delivery.cancelled == 1 or kind == 'cancelled' then
    later('SREM', epoch_key(int(delivery.epoch), ':cancelled'), gid .. ':' .. key)
    count(group_key(gid), 'signalled', -delivery.cancelled)
    jobs.finish(key, job, gid, open, 'cancelled')
  elseif kind == 'done' then
    jobs.finish(key, job, gid, open, 'completed')
  elseif kind == 'back' then
    put_in_front(key, job, gid, delivery)
  elseif kind == 'retry' then
    retry(key, job, gid, delivery, tonumber(ARGV[rest]))
  else
    fail(key, job, group, delivery, open, rest)
  end
end

-- Discards failed entries above this number, where some were added.
function settlements.trim(retention_count)
  if settlements.failed > 0 then
    get_failures().trim(retention_count, settlements.failed + BATCH)
  end
end

-- Gives a claim back to the front of its priority (or ends it, if it was cancelled).
function settlements.give_back(key, group, delivery)
  local job = jobs.read(key)
  if job then
    settle('back', key, nil, job, group, delivery, call('HGET', OPEN, key))
  end
end

-- The common case without making tables: the last delivery of a user's job is done. Returns its id, or nil.
local function plain_id(raw, fan)
  local format, _, flags, _, _, _, expires_at, id_at, fan_at, token_at = job_fields(raw)
  if format == FORMAT and not has(flags, OCCURRENCE) and expires_at == 0
    and string.sub(raw, fan_at, token_at - 1) == fan then
    return string.sub(raw, id_at, fan_at - 1)
  end
end

-- Whether a delivery is in this state and the epoch's. Second: whether it was cancelled.
local function owned(raw, state, epoch)
  if not raw or #raw < DELIVERY_SIZE then
    return false
  end
  local format, is, cancelled, _, _, _, owner = struct.unpack(DELIVERY, raw)
  return format == FORMAT and is == state and owner == epoch, cancelled == 1
end

local function end_plainly(keys, ids, gid)
  if #keys > 0 then
    send('HDEL', deliveries_key(gid), keys)
    send('HDEL', JOBS, keys)
    send('HDEL', PAYLOADS, keys)
    send('HDEL', key_of('ids'), ids)
    count(group_key(gid), 'processing', -#keys)
    count(group_key(gid), 'completed', #keys)
  end
end

-- Applies settlements to claims of one group that are in this state and the epoch's. Returns the keys of those that
-- took effect, and of the others.
function settlements.apply(kinds, keys, rests, group, epoch, state)
  local gid, fan = group.gid, ',' .. group.gid .. ','
  local deliveries, records, open = read(deliveries_key(gid), keys), read(JOBS, keys), read(OPEN, keys)
  local settled, refused, seen, plain, ids = {}, {}, {}, {}, {}
  epoch = tonumber(epoch)
  for i, key in ipairs(keys) do
    local is_owned, is_cancelled = owned(deliveries[i], state, epoch)
    if is_owned and records[i] and not seen[key] then
      seen[key] = true
      settled[#settled + 1] = key
      local id = kinds[i] == 'done' and not is_cancelled and not open[i] and plain_id(records[i], fan)
      if id then
        plain[#plain + 1], ids[#ids + 1] = key, id
      else
        settle(kinds[i], key, rests[i], unpack_job(records[i]), group, unpack_delivery(deliveries[i]), open[i])
      end
    else
      refused[#refused + 1] = key
    end
  end
  end_plainly(plain, ids, gid)
  flush()
  return settled, refused
end

return settlements
