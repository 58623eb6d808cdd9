-- Renews a lease, and tells what the epoch has claimed, in the order of the claims.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: epoch
-- returns {'done', for each: group, key, id, number of its exchange, 1 if cancelled};
--   or {'unknown'}, {'fenced', successor}, {'lost'}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/groups.lua
-- include: lib/jobs.lua
-- include: lib/claimed.lua

local call = redis.call
local epoch_key = queue.epoch_key

local epoch = ARGV[4]
local refusal = entry.enter_as(epoch)
if refusal then
  return refusal
end
call('ZADD', queue.LEASES, queue.now + tonumber(call('HGET', epoch_key(epoch), 'span')), epoch)

local names, rows = {}, {}
for _, group in ipairs(groups.all()) do
  names[group.gid] = group.name
end
for gid in string.gmatch(call('HGET', epoch_key(epoch), 'groups'), '%d+') do
  claimed.read(rows, epoch, gid, call('SMEMBERS', queue.claims_key(epoch, gid)))
end
table.sort(rows, function(one, other)
  return one.delivery.sequence < other.delivery.sequence
end)
local answer = {'done'}
for _, row in ipairs(rows) do
  local job = jobs.read(row.key)
  for _, value in ipairs({names[row.gid], row.key, job and job.id or '', row.exchange, row.delivery.cancelled}) do
    answer[#answer + 1] = value
  end
end
return answer
