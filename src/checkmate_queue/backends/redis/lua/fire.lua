-- Advances schedules by compare-and-set, and makes their jobs.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: number of firings
--   then for each: schedule, revision, expected due time, next due time or '', number of due times, due times
-- returns {'done', a character for each firing up to where the step was long enough: 1 where it took effect};
--   or {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/members.lua
-- include: lib/readying.lua
-- include: lib/schedule_records.lua

local call = redis.call
local now, AGAIN, key_of = queue.now, queue.AGAIN, queue.key_of
local later, flush = writes.later, writes.flush
local READY, OCCURRENCE, DROP = records.READY, records.OCCURRENCE, records.DROP
local enter = entry.enter
local caught_up = catch_up.caught_up

local refusal = enter(true)
if refusal then
  return refusal
end
if not caught_up() then
  return AGAIN
end

local live = members.live()
local made = 0 -- deliveries

-- Those live groups in which the schedule has nothing that forbids another delivery (R5, R6).
local function free_groups(id, prefix)
  local free = {}
  for _, gid in ipairs(live) do
    if call('HEXISTS', key_of('schedule-deliveries:' .. id), prefix .. gid) == 0 then
      free[#free + 1] = gid
    end
  end
  return free
end

-- The groups of the next job; nil where none is to be made.
local function choose_groups(id, misfire, overlap)
  if misfire == 'all' and overlap then
    return live
  end
  local free = free_groups(id, overlap and 'waiting:' or 'existing:')
  if #live > 0 then
    return #free > 0 and free or nil
  end
  return call('HEXISTS', key_of('schedule-deliveries:' .. id), 'unclaimed') == 0 and free or nil
end

local function make(id, due_at, gids, stored)
  local key = call('HINCRBY', KEYS[1], 'jobs', 1)
  local job = {
    state = READY,
    flags = OCCURRENCE + (stored.unclaimed == 'drop' and DROP or 0),
    priority = tonumber(stored.priority),
    enqueued_at = now,
    since = now,
    expires_at = 0,
    id = id .. ':' .. due_at,
    fan = '',
    token = '',
  }
  readying.create(key, job, stored.data)
  get_series().list(key, job)
  made = made + #gids
  readying.make_ready(key, job, gids)
  flush()
  call('HSET', key_of('schedule:' .. id), 'last_run_at', due_at)
end

local function read_schedule(id)
  local fields = {'revision', 'next_at', 'data', 'priority', 'misfire', 'overlap', 'unclaimed'}
  local stored = {}
  for i, value in ipairs(call('HMGET', key_of('schedule:' .. id), unpack(fields))) do
    stored[fields[i]] = value
  end
  return stored
end

local function fire(at, amount)
  local id = ARGV[at]
  local stored = read_schedule(id)
  if stored.revision ~= ARGV[at + 1] or stored.next_at ~= ARGV[at + 2] then
    return '0'
  end
  for i = 1, amount do
    local due_at = ARGV[at + 4 + i]
    local gids = choose_groups(id, stored.misfire, stored.overlap == '1')
    if gids and call('HEXISTS', key_of('occurrences'), id .. ':' .. due_at) == 0 then
      make(id, due_at, gids, stored)
    end
  end
  schedule_records.plan(id, ARGV[at + 3])
  return '1'
end

local marks, at = {}, 5
for i = 1, tonumber(ARGV[4]) do
  if made >= queue.BATCH then
    break
  end
  local amount = tonumber(ARGV[at + 4])
  marks[i] = fire(at, amount)
  at = at + 5 + amount
end
return {'done', table.concat(marks)}
