-- The queue that a script works on: its keys, the present, and the counters of the queue.
-- KEYS[1] is the queue's own hash; every other key is its name with another ending, under the same hash tag.
-- ARGV[1] is the present in ms, empty for the engine's clock; ARGV[2] is about how many records a step may touch;
-- ARGV[3] is how long unclaimed jobs are kept, in ms.

local call = redis.call
local base = string.sub(KEYS[1], 1, -6) -- without "queue"
local BATCH = tonumber(ARGV[2])
local UNCLAIMED_RETENTION = tonumber(ARGV[3])
local AGAIN = {'again'}

local function int(number)
  return string.format('%.0f', number)
end

local function read_clock()
  if ARGV[1] ~= '' then
    return tonumber(ARGV[1])
  end
  local time = call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local now = read_clock()

local function key_of(name)
  return base .. name
end

local function group_key(gid)
  return base .. 'group:' .. gid
end

local function deliveries_key(gid)
  return base .. 'group:' .. gid .. ':deliveries'
end

local function priorities_key(gid)
  return base .. 'group:' .. gid .. ':priorities'
end

local function ready_key(gid, priority)
  return base .. 'group:' .. gid .. ':ready:' .. priority
end

local function front_key(gid, priority)
  return base .. 'group:' .. gid .. ':front:' .. priority
end

local function epoch_key(epoch)
  return base .. 'epoch:' .. epoch
end

local function claims_key(epoch, gid)
  return base .. 'epoch:' .. epoch .. ':claims:' .. gid
end

local function lapsed_key(epoch)
  return base .. 'epoch:' .. epoch .. ':lapsed'
end

local function cancelled_key(epoch)
  return base .. 'epoch:' .. epoch .. ':cancelled'
end
