-- Removes what waits of a job, and signals what runs (L12).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: id of a user's job or, where none has it, of a schedule's
-- returns {'done', removed, signalled}; or {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/waiting.lua

local call = redis.call
local AGAIN, DUE, int, key_of, group_key = queue.AGAIN, queue.DUE, queue.int, queue.key_of, queue.group_key
local deliveries_key, front_key, epoch_key = queue.deliveries_key, queue.front_key, queue.epoch_key
local later, count, flush = writes.later, writes.count, writes.flush
local READY, CLAIMED, LAPSED = records.READY, records.CLAIMED, records.LAPSED
local RETRYING, FRONT = records.RETRYING, records.FRONT

local refusal = entry.enter()
if refusal then
  return refusal
end
if not catch_up.caught_up() then
  return AGAIN
end

local id = ARGV[4]
local key = call('HGET', key_of('ids'), id) or call('HGET', key_of('occurrences'), id)
local job = key and jobs.read(key)

local function signal(gid, delivery)
  if delivery.cancelled == 0 then
    delivery.cancelled = 1
    later('HSET', deliveries_key(gid), key, records.pack_delivery(delivery))
    count(group_key(gid), 'signalled', 1)
  end
  if delivery.state == CLAIMED then
    later('SADD', epoch_key(int(delivery.epoch), ':cancelled'), gid .. ':' .. key)
  end
end

local function remove(gid, delivery)
  local state = delivery and delivery.state
  if state == RETRYING then
    later('ZREM', DUE, jobs.due_member(key, gid))
  elseif state == FRONT then
    later('ZREM', front_key(gid, job.priority), key)
  end
  if delivery then
    later('HDEL', deliveries_key(gid), key)
  end
  count(group_key(gid), state == RETRYING and 'retrying' or 'pending', -1)
  waiting.end_in(gid, job, not delivery or delivery.sequence == 0, 'cancelled')
end

local function cancel_ready()
  local open = waiting.open_groups(key, job)
  local rest, removed, signalled = open, 0, 0
  for gid in string.gmatch(open, '%d+') do
    local raw = call('HGET', deliveries_key(gid), key)
    local delivery = raw and records.unpack_delivery(raw)
    if delivery and (delivery.state == CLAIMED or delivery.state == LAPSED) then
      signal(gid, delivery)
      signalled = signalled + 1
    else
      remove(gid, delivery)
      rest = jobs.without(rest, gid)
      removed = removed + 1
    end
  end
  waiting.keep(key, job, open, rest)
  return removed, signalled
end

if not job then
  return {'done', 0, 0}
end
local removed, signalled = 1, 0
if job.state == READY then
  removed, signalled = cancel_ready()
else
  waiting.finish(key, job, 'cancelled')
end
flush()
waiting.trim()
if signalled > 0 then
  writes.wake()
end
return {'done', removed, signalled}
