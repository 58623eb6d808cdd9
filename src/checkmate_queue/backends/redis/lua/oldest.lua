-- When the oldest ready deliveries of these groups became ready, of as many as one step may look at.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4...: groups
-- returns {'done', for each up to where the step was long enough: that time or ''}
-- include: lib/queue.lua
-- include: lib/groups.lua
-- include: lib/heads.lua

local answer, looked = {'done'}, 0
for at = 4, #ARGV do
  if looked >= queue.BATCH then
    break
  end
  local group = groups.find(ARGV[at])
  local since, seen
  if group then
    since, seen = heads.oldest(group)
  end
  answer[#answer + 1] = since or ''
  looked = looked + (seen or 1)
end
return answer
