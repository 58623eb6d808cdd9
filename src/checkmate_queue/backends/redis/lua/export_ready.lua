-- Reads ready deliveries of a group in starting order: of one priority, what came back or what is in its list.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: group   5: priority, or '' for the first   6: 1 for the list
--   7: how many to pass over   8: how many to look at
-- returns {'done', priority, 1 for the list, how many to pass over for what follows, for each delivery: key, attempts,
--   stalls, since, sequence of its claim or 0, 1 if in front}; the priority is '' at the end
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/groups.lua

local call = redis.call
local JOBS, deliveries_key, priorities_key = queue.JOBS, queue.deliveries_key, queue.priorities_key
local ready_key, front_key = queue.ready_key, queue.front_key
local read = writes.read
local FRONT, QUEUED, CLOSED, has = records.FRONT, records.QUEUED, records.CLOSED, records.has
local job_fields, unpack_delivery = records.job_fields, records.unpack_delivery

local group = groups.find(ARGV[4])
local gid = group.gid
local priority, in_list = ARGV[5], ARGV[6] == '1'
local from, amount = tonumber(ARGV[7]), tonumber(ARGV[8])
local answer = {'done', '', 0, 0}

local function add(key, attempts, stalls, since, sequence, front)
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] = key, attempts, stalls, since
  answer[at + 5], answer[at + 6] = sequence, front
end

local function add_fresh(key, raw)
  local format, _, flags, _, _, since, _, _, fan_at, token_at = job_fields(raw)
  if format == 0 then
    add(key, 0, 0, 0, 0, 0)
  elseif not has(flags, CLOSED) then
    add(key, 0, 0, groups.since(group, string.sub(raw, fan_at, token_at - 1), since), 0, 0)
  end
end

local function add_all(keys, state)
  local stored, deliveries = read(JOBS, keys), read(deliveries_key(gid), keys)
  for i, key in ipairs(keys) do
    local delivery = stored[i] and deliveries[i] and unpack_delivery(deliveries[i])
    if delivery and delivery.state == state then
      add(key, delivery.attempts, delivery.stalls, delivery.since, delivery.sequence, state == FRONT and 1 or 0)
    elseif stored[i] and not deliveries[i] and state == QUEUED then
      add_fresh(key, stored[i])
    end
  end
end

local function priority_after(this)
  if this == '' then
    return call('ZREVRANGE', priorities_key(gid), 0, 0)[1]
  end
  return call('ZREVRANGEBYSCORE', priorities_key(gid), '(' .. this, '-inf', 'LIMIT', 0, 1)[1]
end

local function page()
  if in_list then
    return call('LRANGE', ready_key(gid, priority), from, from + amount - 1)
  end
  return call('ZRANGE', front_key(gid, priority), from, from + amount - 1)
end

priority = priority == '' and priority_after('') or priority
if not priority then
  return answer
end
local keys = page()
add_all(keys, in_list and QUEUED or FRONT)
if #keys == amount then
  from = from + amount
elseif in_list then
  priority, in_list, from = priority_after(priority) or '', false, 0
else
  in_list, from = true, 0
end
answer[2], answer[3], answer[4] = priority, in_list and 1 or 0, from
return answer
