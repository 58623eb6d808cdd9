-- Making ready what is due: delayed jobs and retries lie in one sorted set, so that they keep one order (J5).
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/members.lua
-- include: lib/readying.lua

local call = redis.call
local now, BATCH, JOBS, DUE, group_key = queue.now, queue.BATCH, queue.JOBS, queue.DUE, queue.group_key
local deliveries_key = queue.deliveries_key
local read, later, count, push, flush = writes.read, writes.later, writes.count, writes.push, writes.flush
local QUEUED, unpack_job, pack_delivery = records.QUEUED, records.unpack_job, records.pack_delivery
local unpack_delivery = records.unpack_delivery

local promotion = {}

local function ready_retry(key, job, gid)
  local delivery = unpack_delivery(call('HGET', deliveries_key(gid), key))
  delivery.state = QUEUED
  delivery.since = now
  later('HSET', deliveries_key(gid), key, pack_delivery(delivery))
  count(group_key(gid), 'retrying', -1)
  push(key, job.priority, gid)
end

local function promote_some(limit, live)
  local due = call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, limit)
  local keys, gids = {}, {}
  for i, member in ipairs(due) do
    keys[i], gids[i] = string.match(member, '^0*(%d+):?(%d*)$')
  end
  local raw = read(JOBS, keys)
  for i, key in ipairs(keys) do
    local job = raw[i] and unpack_job(raw[i])
    if job and gids[i] ~= '' then
      ready_retry(key, job, gids[i])
    elseif job then
      count(KEYS[1], 'delayed', -1)
      readying.make_ready(key, job, live)
    end
    later('ZREM', DUE, due[i])
  end
  flush()
end

-- True if what is due fits one step; else makes a batch of it ready. A job counts once for each group it goes to.
function promotion.fits()
  local live = members.live()
  local room = math.max(1, math.floor(BATCH / math.max(1, #live)))
  if call('ZCOUNT', DUE, '-inf', now) > room then
    promote_some(room, live)
    return false
  end
  return true
end

function promotion.promote()
  promote_some(call('ZCOUNT', DUE, '-inf', now), members.live())
end

return promotion
