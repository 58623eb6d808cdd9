-- Reads the queue and its groups, once what verbs do in batches is done to its end (B2).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua
-- returns {'done', 1 if paused, jobs, claims, revisions, completed, failed, expired, cancelled, then for each group: name,
--   1 if ephemeral, most stalls, registered_at, away, warned_at or 0, completed, failed, expired, cancelled};
--   or {'again'}, {'unknown'}
-- include: lib/queue.lua
-- include: lib/groups.lua
-- include: lib/chores.lua
-- include: lib/fills.lua

local call = redis.call
local AGAIN, group_key = queue.AGAIN, queue.group_key

if call('HEXISTS', KEYS[1], 'format') == 0 then
  return {'unknown'}
end
if not chores.caught_up() then
  return AGAIN
end

local registered = groups.all()
for _, group in ipairs(registered) do
  if groups.is_filling(group) and not fills.go_on(group) then
    return AGAIN
  end
end

local answer = {'done', call('HEXISTS', KEYS[1], 'paused')}

local function numbers(key, ...)
  for _, value in ipairs(call('HMGET', key, ...)) do
    answer[#answer + 1] = tonumber(value or 0)
  end
end

numbers(KEYS[1], 'jobs', 'claims', 'revisions', 'completed', 'failed', 'expired', 'cancelled')
for _, group in ipairs(registered) do
  for _, value in ipairs({group.name, group.ephemeral and 1 or 0, group.max_stalls, group.registered_at, group.away,
    group.warned_at}) do
    answer[#answer + 1] = value
  end
  numbers(group_key(group.gid), 'completed', 'failed', 'expired', 'cancelled')
end
return answer
