-- Registered groups.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua
-- returns {'done', for each: name, 1 for ephemeral, most stalls, live workers, registered_at}
-- include: lib/queue.lua
-- include: lib/members.lua
-- include: lib/living.lua

local answer = {'done'}
local _, ends = living.epochs()
for _, group in ipairs(groups.all()) do
  local workers = 0
  for epoch in string.gmatch(members.of(group.gid), '%d+') do
    workers = workers + (ends[epoch] and 1 or 0)
  end
  for _, value in ipairs({group.name, group.ephemeral and 1 or 0, group.max_stalls, workers, group.registered_at}) do
    answer[#answer + 1] = value
  end
end
return answer
