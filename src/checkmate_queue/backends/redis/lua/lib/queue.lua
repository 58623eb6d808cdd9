-- The queue that a script works on: its keys, and the present.
-- KEYS[1] is the queue's own hash; every other key is its name with another ending, under the same hash tag.
-- KEYS[2] is never there: by it a cluster's node refuses to work on a queue of which some keys are elsewhere.
-- ARGV[1] is the present in ms, empty for the engine's clock; ARGV[2] is about how many records a step may touch;
-- ARGV[3] is how long unclaimed jobs are kept, in ms.

local call = redis.call
local base = string.sub(KEYS[1], 1, -6) -- without "queue"
local group_base = base .. 'group:'
local BATCH = tonumber(ARGV[2])
local UNCLAIMED_RETENTION = tonumber(ARGV[3])
local AGAIN = {'again'}

local JOBS = base .. 'jobs'
local PAYLOADS = base .. 'payloads'
local OPEN = base .. 'open'
local DUE = base .. 'due'
local LEASES = base .. 'leases'
local GROUPS = base .. 'groups'

local now
if ARGV[1] ~= '' then
  now = tonumber(ARGV[1])
else
  local time = call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Whole numbers in texts; `..` would round large ones.
local function int(number)
  return string.format('%.0f', number)
end

local function key_of(name)
  return base .. name
end

local function group_key(gid)
  return group_base .. gid
end

local function deliveries_key(gid)
  return group_base .. gid .. ':deliveries'
end

local function priorities_key(gid)
  return group_base .. gid .. ':priorities'
end

local function ready_key(gid, priority)
  return group_base .. gid .. ':ready:' .. priority
end

local function front_key(gid, priority)
  return group_base .. gid .. ':front:' .. priority
end

local function epoch_key(epoch, ending)
  return base .. 'epoch:' .. epoch .. (ending or '')
end

local function claims_key(epoch, gid)
  return epoch_key(epoch, ':claims:') .. gid
end

return {
  now = now, BATCH = BATCH, UNCLAIMED_RETENTION = UNCLAIMED_RETENTION, AGAIN = AGAIN, JOBS = JOBS,
  PAYLOADS = PAYLOADS, OPEN = OPEN, DUE = DUE, LEASES = LEASES, GROUPS = GROUPS, int = int, key_of = key_of,
  group_key = group_key, deliveries_key = deliveries_key, priorities_key = priorities_key, ready_key = ready_key,
  front_key = front_key, epoch_key = epoch_key, claims_key = claims_key,
}
