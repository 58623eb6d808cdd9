-- Reads epochs that live, or whose claims are still to be handed on.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: how many to pass over
-- returns {'done', how many there are, for each of up to a batch: number, worker, 1 if the worker has no later one, span,
--   1 if it lived at the last contact, report, {name of a group, number of its last exchange, ...}}
-- include: lib/queue.lua
-- include: lib/groups.lua

local call = redis.call
local BATCH, LEASES, key_of, epoch_key = queue.BATCH, queue.LEASES, queue.key_of, queue.epoch_key

local contact = tonumber(call('HGET', KEYS[1], 'contact'))
local names = {}
for _, group in ipairs(groups.all()) do
  names[group.gid] = group.name
end

local leases, start = call('ZCARD', LEASES), tonumber(ARGV[4])
local answer = {'done', leases + call('LLEN', key_of('dying'))}

local function joined_by(epoch, gids)
  local joined = {}
  for gid in string.gmatch(gids or '', '%d+') do
    if names[gid] then
      joined[#joined + 1] = names[gid]
      joined[#joined + 1] = tonumber(call('HGET', epoch_key(epoch), 'exchanges:' .. gid) or 0)
    end
  end
  return joined
end

local function include(epoch, expires_at)
  local worker, span, report, gids = unpack(call('HMGET', epoch_key(epoch), 'worker', 'span', 'report', 'groups'))
  local is_newest = call('HGET', key_of('workers'), worker) == epoch
  local values = {epoch, worker, is_newest and 1 or 0, tonumber(span), expires_at > contact and 1 or 0, report or '',
    joined_by(epoch, gids)}
  for _, value in ipairs(values) do
    answer[#answer + 1] = value
  end
end

local page = call('ZRANGE', LEASES, start, start + BATCH - 1, 'WITHSCORES')
for i = 1, #page, 2 do
  include(page[i], tonumber(page[i + 1]))
end
local from = math.max(0, start - leases)
local room = BATCH - #page / 2
if room > 0 then
  for _, epoch in ipairs(call('LRANGE', key_of('dying'), from, from + room - 1)) do
    include(epoch, 0)
  end
end
return answer
