-- Creates or replaces a schedule (R4).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: id   5: payload   6: definition   7: timing   8: form (opaque)
--   9: priority   10: misfire   11: 1 for overlap   12: unclaimed   13: first due time
-- returns {'done', schedule (lib/schedule_records.lua)}; or {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/chores.lua
-- include: lib/schedule_records.lua

local call = redis.call
local AGAIN, int, key_of = queue.AGAIN, queue.int, queue.key_of
local enter = entry.enter
local caught_up = catch_up.caught_up

local refusal = enter(true)
if refusal then
  return refusal
end
if not caught_up() then
  return AGAIN
end

local id = ARGV[4]
local key = key_of('schedule:' .. id)
local stored = call('HMGET', key, 'definition', 'timing')

local function first_due()
  return call('ZRANGE', key_of('schedules_due'), 0, 0, 'WITHSCORES')[2]
end

local function replace()
  local due_before = first_due()
  local revision = call('HINCRBY', KEYS[1], 'revisions', 1)
  call('HSET', key, 'data', ARGV[5], 'definition', ARGV[6], 'timing', ARGV[7], 'form', ARGV[8], 'priority', ARGV[9],
    'misfire', ARGV[10], 'overlap', ARGV[11], 'unclaimed', ARGV[12], 'first_at', ARGV[13], 'revision', revision)
  call('ZADD', key_of('schedules'), 0, id)
  if stored[2] ~= ARGV[7] then
    call('HSET', key, 'anchor', ARGV[13])
    schedule_records.plan(id, ARGV[13])
  end
  if not due_before or tonumber(first_due() or due_before) < tonumber(due_before) then
    writes.wake()
  end
  if stored[1] then
    chores.cancel(id, int(revision))
  end
end

if stored[1] ~= ARGV[6] then
  replace()
end
return {'done', schedule_records.read(id)}
