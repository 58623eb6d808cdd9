-- Reads deliveries that wait for a retry, by their due times.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: how many to pass over   5: how many to look at
-- returns {'done', how many were looked at, for each delivery: key, group, attempts, stalls, due_at}
-- include: lib/queue.lua
-- include: lib/records.lua
-- include: lib/groups.lua

local call = redis.call

local names = {}
for _, group in ipairs(groups.all()) do
  names[group.gid] = group.name
end
local from = tonumber(ARGV[4])
local page = call('ZRANGE', queue.DUE, from, from + tonumber(ARGV[5]) - 1, 'WITHSCORES')
local answer = {'done', #page / 2}
for i = 1, #page, 2 do
  local key, gid = string.match(page[i], '^0*(%d+):(%d+)$')
  local raw = key and names[gid] and call('HGET', queue.deliveries_key(gid), key)
  local delivery = raw and records.unpack_delivery(raw)
  if delivery then
    for _, value in ipairs({key, names[gid], delivery.attempts, delivery.stalls, tonumber(page[i + 1])}) do
      answer[#answer + 1] = value
    end
  end
end
return answer
