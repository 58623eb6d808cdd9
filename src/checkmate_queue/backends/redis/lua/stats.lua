-- The numbers of a queue (L3).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua
-- returns {'done', now, delayed, unclaimed, completed, failed, expired and cancelled without a group, then for each
--   group: name, pending, retrying, processing, completed, failed, expired, cancelled, when its oldest became ready or
--   ''}; or {'unknown'}
-- include: lib/queue.lua
-- include: lib/records.lua
-- include: lib/groups.lua
-- include: lib/waiting.lua

local call = redis.call
local now, BATCH, JOBS, group_key = queue.now, queue.BATCH, queue.JOBS, queue.group_key
local deliveries_key, priorities_key, ready_key = queue.deliveries_key, queue.priorities_key, queue.ready_key
local front_key = queue.front_key

if call('HEXISTS', KEYS[1], 'format') == 0 then
  return {'unknown'}
end

-- Since when a waiting delivery has been ready, or nil for a number that stands for nothing.
local function since_of(key, group, state)
  local gid = group.gid
  local raw = call('HGET', deliveries_key(gid), key)
  local delivery = raw and records.unpack_delivery(raw)
  if delivery then
    return delivery.state == state and delivery.since or nil
  elseif state == records.QUEUED and not waiting.is_dead(key, gid) then
    local job = jobs.read(key)
    return groups.since(group, job.fan, job.since)
  end
end

-- The first of a list that stands for something.
local function first_since(group, priority)
  for from = 0, 9 * 100, 100 do
    local keys = call('LRANGE', ready_key(group.gid, priority), from, from + 99)
    for _, key in ipairs(keys) do
      local since = since_of(key, group, records.QUEUED)
      if since then
        return since
      end
    end
    if #keys < 100 then
      return nil
    end
  end
end

-- From the heads: what came back keeps its time, so that all of those are looked at.
local function oldest(group)
  local gid, found = group.gid, nil
  local function consider(since)
    found = since and (not found or since < found) and since or found
  end
  for _, priority in ipairs(call('ZRANGE', priorities_key(gid), 0, BATCH - 1)) do
    for _, key in ipairs(call('ZRANGE', front_key(gid, priority), 0, BATCH - 1)) do
      consider(since_of(key, group, records.FRONT))
    end
    consider(first_since(group, priority))
  end
  return found or ''
end

local function numbers(answer, key, fields)
  for _, value in ipairs(call('HMGET', key, unpack(fields))) do
    answer[#answer + 1] = tonumber(value or 0)
  end
end

local answer = {'done', now}
numbers(answer, KEYS[1], {'delayed', 'unclaimed', 'completed', 'failed', 'expired', 'cancelled'})
for _, group in ipairs(groups.all()) do
  answer[#answer + 1] = group.name
  numbers(answer, group_key(group.gid),
    {'pending', 'retrying', 'processing', 'completed', 'failed', 'expired', 'cancelled'})
  answer[#answer + 1] = oldest(group)
end
return answer
