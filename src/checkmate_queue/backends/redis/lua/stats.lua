-- The numbers of a queue (L3).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua
-- returns {'done', now, delayed, unclaimed, completed, failed, expired and cancelled without a group, then for each
--   group: name, pending, retrying, processing, completed, failed, expired, cancelled, when its oldest became ready or
--   '', or 'later' where the step was too long to find that out (oldest.lua)}; or {'unknown'}
-- include: lib/queue.lua
-- include: lib/groups.lua
-- include: lib/heads.lua

local call = redis.call
local now, BATCH, group_key = queue.now, queue.BATCH, queue.group_key

if call('HEXISTS', KEYS[1], 'format') == 0 then
  return {'unknown'}
end

local function numbers(answer, key, fields)
  for _, value in ipairs(call('HMGET', key, unpack(fields))) do
    answer[#answer + 1] = tonumber(value or 0)
  end
end

local looked = 0

local function oldest(group, pending)
  if pending == 0 then
    return ''
  elseif looked >= BATCH then
    return 'later'
  end
  local since, seen = heads.oldest(group)
  looked = looked + seen
  return since or ''
end

local answer = {'done', now}
numbers(answer, KEYS[1], {'delayed', 'unclaimed', 'completed', 'failed', 'expired', 'cancelled'})
for _, group in ipairs(groups.all()) do
  answer[#answer + 1] = group.name
  local at = #answer + 1
  numbers(answer, group_key(group.gid),
    {'pending', 'retrying', 'processing', 'completed', 'failed', 'expired', 'cancelled'})
  answer[#answer + 1] = oldest(group, answer[at])
end
return answer
