-- Since when the oldest ready delivery of a group has waited: from the heads, not by scanning. What came back keeps its
-- time, so that all of those are looked at.
-- include: lib/queue.lua
-- include: lib/records.lua
-- include: lib/groups.lua
-- include: lib/jobs.lua

local call = redis.call
local BATCH, deliveries_key, priorities_key = queue.BATCH, queue.deliveries_key, queue.priorities_key
local ready_key, front_key = queue.ready_key, queue.front_key

local heads = {}

local PAGE = 100

-- Since when a waiting delivery has been ready, or nil for a number that stands for nothing.
local function since_of(key, group, state)
  local gid = group.gid
  local raw = call('HGET', deliveries_key(gid), key)
  local delivery = raw and records.unpack_delivery(raw)
  if delivery then
    return delivery.state == state and delivery.since or nil
  end
  local job = state == records.QUEUED and jobs.read(key)
  if job and not records.has(job.flags, records.CLOSED) then
    return groups.since(group, job.fan, job.since)
  end
end

-- The first of a list that stands for something, or nil; second: how many were looked at.
local function first_since(group, priority, most)
  local looked = 0
  while looked < most do
    local keys = call('LRANGE', ready_key(group.gid, priority), looked, looked + PAGE - 1)
    for i, key in ipairs(keys) do
      local since = since_of(key, group, records.QUEUED)
      if since then
        return since, looked + i
      end
    end
    looked = looked + #keys
    if #keys < PAGE then
      break
    end
  end
  return nil, looked
end

local function earlier(one, other)
  return one and other and math.min(one, other) or one or other
end

-- Nil where none waits; second: how many deliveries were looked at, which is about a batch at most: those of the lowest
-- priorities, which wait the longest.
function heads.oldest(group)
  local gid, found, looked = group.gid, nil, 0
  for _, priority in ipairs(call('ZRANGE', priorities_key(gid), 0, BATCH - 1)) do
    for _, key in ipairs(call('ZRANGE', front_key(gid, priority), 0, BATCH - looked - 1)) do
      found = earlier(found, since_of(key, group, records.FRONT))
      looked = looked + 1
    end
    local since, seen = first_since(group, priority, BATCH - looked)
    found, looked = earlier(found, since), looked + math.max(1, seen)
    if looked >= BATCH then
      break
    end
  end
  return found, looked
end

return heads
