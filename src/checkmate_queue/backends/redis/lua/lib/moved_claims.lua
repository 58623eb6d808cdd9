-- Storing deliveries that move here and are not ready: what waits for a retry, and what a worker holds.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua
-- include: lib/moved_jobs.lua

local call = redis.call
local DUE, key_of, group_key, deliveries_key = queue.DUE, queue.key_of, queue.group_key, queue.deliveries_key
local epoch_key, claims_key = queue.epoch_key, queue.claims_key
local later, count = writes.later, writes.count
local CLAIMED, LAPSED, RETRYING, OCCURRENCE = records.CLAIMED, records.LAPSED, records.RETRYING, records.OCCURRENCE
local has, pack_delivery = records.has, records.pack_delivery

local moved_claims = {}

-- The delivery's job is one of the group; false for a job that is not there.
local function enlist(key, gid)
  local priority, flags = moved_jobs.enlist(key, gid)
  if priority and has(flags, OCCURRENCE) then
    get_series().moved(moved_jobs.series_job(key), gid)
  end
  return priority ~= nil
end

function moved_claims.retry(at)
  local gid, key = moved_jobs.gid_of(ARGV[at]), ARGV[at + 1]
  if enlist(key, gid) then
    -- Which claim it was matters no more, only that there was one.
    local delivery = {state = RETRYING, cancelled = 0, attempts = tonumber(ARGV[at + 2]), stalls = tonumber(ARGV[at + 3]),
      sequence = 1, epoch = 0, since = tonumber(ARGV[at + 4])}
    later('HSET', deliveries_key(gid), key, pack_delivery(delivery))
    later('ZADD', DUE, ARGV[at + 4], jobs.due_member(key, gid))
    count(group_key(gid), 'retrying', 1)
  end
  return at + 5
end

-- What the last exchange of an epoch took is listed, so that the same number gets it again.
local function note_taken(epoch, gid, key, exchange)
  if exchange == call('HGET', epoch_key(epoch), 'exchanges:' .. gid) then
    local before = call('HGET', epoch_key(epoch), 'taken:' .. gid)
    call('HSET', epoch_key(epoch), 'taken:' .. gid, (before == '' and '' or before .. ',') .. key)
  end
end

local function hold(gid, key, epoch, cancelled, lapsed)
  local member = gid .. ':' .. key
  if lapsed then
    later('SADD', epoch_key(epoch, ':lapsed'), member)
  else
    later('SADD', claims_key(epoch, gid), key)
  end
  if cancelled then
    count(group_key(gid), 'signalled', 1)
    if not lapsed then
      later('SADD', epoch_key(epoch, ':cancelled'), member)
    end
  end
  count(group_key(gid), 'processing', 1)
end

function moved_claims.claim(at)
  local gid, key = moved_jobs.gid_of(ARGV[at]), ARGV[at + 1]
  local cancelled, lapsed = ARGV[at + 8] == '1', ARGV[at + 9] == '1'
  local epoch = call('HGET', key_of('workers'), ARGV[at + 6])
  if epoch and enlist(key, gid) then
    local delivery = {state = lapsed and LAPSED or CLAIMED, cancelled = cancelled and 1 or 0,
      attempts = tonumber(ARGV[at + 2]), stalls = tonumber(ARGV[at + 3]), since = tonumber(ARGV[at + 4]),
      sequence = tonumber(ARGV[at + 5]), epoch = tonumber(epoch)}
    later('HSET', deliveries_key(gid), key, pack_delivery(delivery))
    hold(gid, key, epoch, cancelled, lapsed)
    if not lapsed then
      note_taken(epoch, gid, key, ARGV[at + 7])
    end
  end
  return at + 10
end

return moved_claims
