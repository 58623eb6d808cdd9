-- Removes a group; its deliveries end in batches, before anything else happens.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: group
-- returns {'done', 1 if it was known}, {'attended'}; or {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/attendance.lua
-- include: lib/chores.lua

local refusal = entry.enter()
if refusal then
  return refusal
end
if not catch_up.fits() then
  return queue.AGAIN
end
catch_up.promote()
local group = groups.find(ARGV[4])
if not group then
  return {'done', 0}
elseif members.attend(group.gid) then
  return {'attended'}
end
attendance.account()
members.drop_group(group)
chores.caught_up()
return {'done', 1}
