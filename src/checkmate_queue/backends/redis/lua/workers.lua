-- Living epochs.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua
-- returns {'done', for each: worker, epoch, names of its groups, end of its lease, running deliveries, report}
-- include: lib/queue.lua
-- include: lib/groups.lua
-- include: lib/living.lua

local call = redis.call

local names = {}
for _, group in ipairs(groups.all()) do
  names[group.gid] = group.name
end

local answer = {'done'}
local epochs, ends = living.epochs()
for _, epoch in ipairs(epochs) do
  local stored = call('HMGET', queue.epoch_key(epoch), 'worker', 'groups', 'report')
  local joined, processing = {}, 0
  for gid in string.gmatch(stored[2], '%d+') do
    joined[#joined + 1] = names[gid]
    processing = processing + call('SCARD', queue.claims_key(epoch, gid))
  end
  for _, value in ipairs({stored[1], epoch, joined, ends[epoch], processing, stored[3] or ''}) do
    answer[#answer + 1] = value
  end
end
return answer
