-- Reads what an epoch has claimed in one group, or the lapsed claims that it holds.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: epoch   5: group, or '' for lapsed claims   6: cursor, 0 at first
-- returns {'done', next cursor, for each claim: sequence, key, group, attempts, stalls, since, number of its exchange,
--   1 if cancelled}
-- include: lib/queue.lua
-- include: lib/records.lua
-- include: lib/groups.lua
-- include: lib/claimed.lua

local call = redis.call

local epoch, name, cursor = ARGV[4], ARGV[5], ARGV[6]
local names, rows = {}, {}
for _, group in ipairs(groups.all()) do
  names[group.gid] = group.name
end

local function scan(key)
  local page = call('SSCAN', key, cursor, 'COUNT', queue.BATCH)
  cursor = page[1]
  return page[2]
end

if name ~= '' then
  local gid = groups.find(name).gid
  claimed.read(rows, epoch, gid, scan(queue.claims_key(epoch, gid)))
else
  for _, member in ipairs(scan(queue.epoch_key(epoch, ':lapsed'))) do
    local gid, key = string.match(member, '^(%d+):(%d+)$')
    if names[gid] then
      claimed.read(rows, epoch, gid, {key})
    end
  end
end

local answer = {'done', tonumber(cursor)}
for _, row in ipairs(rows) do
  local delivery = row.delivery
  for _, value in ipairs({delivery.sequence, row.key, names[row.gid], delivery.attempts, delivery.stalls,
    delivery.since, row.exchange, delivery.cancelled}) do
    answer[#answer + 1] = value
  end
end
return answer
