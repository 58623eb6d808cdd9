-- Renames a group; its failed entries follow in batches, before anything else happens.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: its name   5: its new name
-- returns {'done'}, {'absent'}, {'attended'}, {'taken'}; or {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/members.lua
-- include: lib/chores.lua

local call = redis.call
local GROUPS, key_of = queue.GROUPS, queue.key_of

local refusal = entry.enter()
if refusal then
  return refusal
end
if not catch_up.caught_up() then
  return queue.AGAIN
end
local old, new = ARGV[4], ARGV[5]
local group = groups.find(old)
if not group then
  return {'absent'}
elseif members.attend(group.gid) then
  return {'attended'}
elseif groups.find(new) then
  return {'taken'}
end
call('HDEL', GROUPS, old)
group.name = new
groups.save(group)
if call('EXISTS', key_of('failed_order')) == 1 then
  call('RPUSH', key_of('chores'), 'rename:0\n' .. old .. '\n' .. new)
  chores.caught_up()
end
return {'done'}
