-- Removes a schedule and its jobs that were never claimed (R7).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: id
-- returns {'done', 1 if it was known}; or {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/chores.lua

local call = redis.call
local AGAIN, key_of = queue.AGAIN, queue.key_of

local refusal = entry.enter()
if refusal then
  return refusal
end
if not catch_up.caught_up() then
  return AGAIN
end

local id = ARGV[4]
local revision = call('HGET', key_of('schedule:' .. id), 'revision')
if not revision then
  return {'done', 0}
end
call('DEL', key_of('schedule:' .. id))
call('ZREM', key_of('schedules'), id)
call('ZREM', key_of('schedules_due'), id)
chores.cancel(id, revision .. ':dropped')
return {'done', 1}
