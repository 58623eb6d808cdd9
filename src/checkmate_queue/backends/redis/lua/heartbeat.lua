-- Renews a lease.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: epoch   5: report
-- returns {'done', group, key, ...} of the running deliveries that were cancelled;
--   or {'unknown'}, {'fenced', successor}, {'lost'}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/groups.lua

local call = redis.call
local now, LEASES, epoch_key = queue.now, queue.LEASES, queue.epoch_key
local enter_as = entry.enter_as

local epoch = ARGV[4]
local refusal = enter_as(epoch)
if refusal then
  return refusal
end
call('ZADD', LEASES, now + tonumber(call('HGET', epoch_key(epoch), 'span')), epoch)
call('HSET', epoch_key(epoch), 'report', ARGV[5], 'bridged', 0)

local answer = {'done'}
local members = call('SMEMBERS', epoch_key(epoch, ':cancelled'))
if #members > 0 then
  local names = {}
  for _, group in ipairs(groups.all()) do
    names[group.gid] = group.name
  end
  for _, member in ipairs(members) do
    local gid, key = string.match(member, '^(%d+):(%d+)$')
    answer[#answer + 1] = names[gid]
    answer[#answer + 1] = key
  end
end
return answer
