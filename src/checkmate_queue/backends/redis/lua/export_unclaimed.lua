-- Reads unclaimed jobs in their order.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: how many to pass over   5: how many to look at
-- returns {'done', how many were looked at, for each job: key, since}
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua

local from = tonumber(ARGV[4])
local keys = redis.call('LRANGE', queue.key_of('unclaimed'), from, from + tonumber(ARGV[5]) - 1)
local answer = {'done', #keys}
for i, raw in ipairs(writes.read(queue.JOBS, keys)) do
  local job = raw and records.unpack_job(raw)
  if job and job.state == records.UNCLAIMED then
    answer[#answer + 1] = keys[i]
    answer[#answer + 1] = job.since
  end
end
return answer
