-- Making ready what is due: delayed jobs and retries lie in one sorted set, so that they keep one order (J5).
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/groups.lua
-- include: lib/jobs.lua

local due = {}

function due.wait(key, gid, at)
  writes.later('ZADD', key_of('due'), int(at), jobs.due_member(key, gid))
end

local function split(members)
  local keys, gids = {}, {}
  for i, member in ipairs(members) do
    local key, gid = string.match(member, '^0*(%d+):?(%d*)$')
    keys[i] = key
    gids[i] = gid ~= '' and gid
  end
  return keys, gids
end

local function ready_retry(key, job, gid)
  local delivery = records.unpack_delivery(call('HGET', deliveries_key(gid), key))
  delivery.state = QUEUED
  delivery.since = now
  writes.later('HSET', deliveries_key(gid), key, records.pack_delivery(delivery))
  writes.count(group_key(gid), 'retrying', -1)
  jobs.push(key, job.priority, gid)
end

local function ready_delayed(key, job, gids)
  writes.count(KEYS[1], 'delayed', -1)
  jobs.make_ready(key, job, gids)
end

local function promote(limit, live)
  local members = call('ZRANGEBYSCORE', key_of('due'), '-inf', int(now), 'LIMIT', 0, limit)
  local keys, gids = split(members)
  local raw = writes.read(key_of('jobs'), keys)
  for i, key in ipairs(keys) do
    local job = raw[i] and records.unpack_job(raw[i])
    if job and gids[i] then
      ready_retry(key, job, gids[i])
    elseif job then
      ready_delayed(key, job, live)
    end
    writes.later('ZREM', key_of('due'), members[i])
  end
  writes.flush()
end

local function waiting()
  return call('ZCOUNT', key_of('due'), '-inf', int(now))
end

-- True if what is due fits one step; else makes a batch of it ready. A job counts once for each group it goes to.
function due.fits()
  local amount = waiting()
  if amount == 0 then
    return true
  end
  local live = groups.live()
  local room = math.max(1, math.floor(BATCH / math.max(1, #live)))
  if amount > room then
    promote(room, live)
    return false
  end
  return true
end

-- Makes ready all that is due, after `fits`.
function due.promote()
  local amount = waiting()
  if amount > 0 then
    promote(amount, groups.live())
  end
end

local function first_score(name)
  local first = call('ZRANGE', key_of(name), 0, 0, 'WITHSCORES')
  return tonumber(first[2])
end

-- When the next of these sorted sets is due, as text; empty for never.
function due.next(names, at)
  for _, name in ipairs(names) do
    local score = first_score(name)
    if score and (not at or score < at) then
      at = score
    end
  end
  return at and int(at) or ''
end
