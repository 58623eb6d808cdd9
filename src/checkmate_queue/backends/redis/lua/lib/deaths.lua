-- Epochs whose lease has run out: each dies in one step, then its claims are handed on in batches (G7).
-- `dying` lists those that still have claims to hand on.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/members.lua
-- include: lib/settlements.lua
-- include: lib/claims.lua

local call = redis.call
local now, BATCH, LEASES, int, key_of = queue.now, queue.BATCH, queue.LEASES, queue.int, queue.key_of
local deliveries_key, epoch_key, claims_key = queue.deliveries_key, queue.epoch_key, queue.claims_key
local later, flush = writes.later, writes.flush
local LAPSED, pack_delivery, unpack_delivery = records.LAPSED, records.pack_delivery, records.unpack_delivery

local deaths = {}

local MOST_BYTES = 4 * 1024 * 1024 -- of payloads in one answer: none should take longer than a caller's patience

local function by_number()
  local found = {}
  for _, group in ipairs(groups.all()) do
    found[group.gid] = group
  end
  return found
end

function deaths.forget_worker(epoch)
  local worker = call('HGET', epoch_key(epoch), 'worker')
  call('ZREM', LEASES, epoch)
  if worker and call('HGET', key_of('workers'), worker) == epoch then
    call('HDEL', key_of('workers'), worker)
  end
end

local function end_cancelled(epoch, registered)
  for _, member in ipairs(call('SMEMBERS', epoch_key(epoch, ':cancelled'))) do
    local gid, key = string.match(member, '^(%d+):(%d+)$')
    local raw = registered[gid] and call('HGET', deliveries_key(gid), key)
    if raw then
      later('SREM', claims_key(epoch, gid), key)
      later('SREM', epoch_key(epoch, ':lapsed'), member)
      settlements.give_back(key, registered[gid], unpack_delivery(raw))
    end
  end
  flush()
  call('DEL', epoch_key(epoch, ':cancelled'))
end

function deaths.are_left()
  return call('ZCOUNT', LEASES, '-inf', now) > 0
end

-- Lets those die whose lease has run out, up to 100; returns the names of ephemeral groups that went with them.
function deaths.mark()
  local dropped = {}
  local dead = call('ZRANGEBYSCORE', LEASES, '-inf', int(now), 'LIMIT', 0, 100)
  local registered = #dead > 0 and by_number() or {}
  for _, epoch in ipairs(dead) do
    end_cancelled(epoch, registered)
    deaths.forget_worker(epoch)
    for gid in string.gmatch(call('HGET', epoch_key(epoch), 'groups'), '%d+') do
      local group = registered[gid]
      members.remove(gid, epoch)
      if group and group.ephemeral and not members.attend(gid) then
        members.drop_group(group)
        registered[gid] = nil
        dropped[#dropped + 1] = group.name
      end
    end
    call('RPUSH', key_of('dying'), epoch)
  end
  return dropped
end

-- Whether what the epoch has claimed is still to be handed on: claims of groups that are gone are nobody's.
local function leaves_claims(epoch, registered)
  if call('EXISTS', epoch_key(epoch, ':lapsed')) == 1 then
    return true
  end
  for gid in string.gmatch(call('HGET', epoch_key(epoch), 'groups'), '%d+') do
    if registered[gid] and call('EXISTS', claims_key(epoch, gid)) == 1 then
      return true
    end
  end
  return false
end

-- The same where nobody lives to whom claims could be handed on; what leaves none is gone.
function deaths.reap()
  local before = call('LLEN', key_of('dying'))
  deaths.mark()
  local marked = call('LRANGE', key_of('dying'), before, -1)
  if #marked == 0 then
    return
  end
  local registered = by_number()
  for _ = 1, #marked do
    call('RPOP', key_of('dying'))
  end
  for _, epoch in ipairs(marked) do
    if leaves_claims(epoch, registered) then
      call('RPUSH', key_of('dying'), epoch)
    else
      for gid in string.gmatch(call('HGET', epoch_key(epoch), 'groups'), '%d+') do
        call('DEL', claims_key(epoch, gid))
      end
      call('DEL', epoch_key(epoch))
    end
  end
end

-- One that was cancelled ends instead (L12).
local function hand_over(key, group, epoch, stall)
  local gid = group.gid
  local raw = call('HGET', deliveries_key(gid), key)
  local delivery = raw and unpack_delivery(raw)
  if delivery and delivery.cancelled == 1 then
    settlements.give_back(key, group, delivery)
  elseif delivery then
    delivery.state = LAPSED
    delivery.stalls = delivery.stalls + stall
    delivery.epoch = tonumber(epoch)
    later('HSET', deliveries_key(gid), key, pack_delivery(delivery))
    later('SADD', epoch_key(epoch, ':lapsed'), gid .. ':' .. key)
  end
end

-- Claims of dropped groups are left to the chore that ends them.
local function hand_over_claims(dead, epoch, registered, room)
  for gid in string.gmatch(call('HGET', epoch_key(dead), 'groups') or '', '%d+') do
    local keys = registered[gid] and room > 0 and call('SPOP', claims_key(dead, gid), room) or {}
    for _, key in ipairs(keys) do
      hand_over(key, registered[gid], epoch, 1)
    end
    room = room - #keys
    if not registered[gid] then
      call('DEL', claims_key(dead, gid))
    end
  end
  return room
end

local function hand_over_lapsed(dead, epoch, registered, room)
  local members = room > 0 and call('SPOP', epoch_key(dead, ':lapsed'), room) or {}
  for _, member in ipairs(members) do
    local gid, key = string.match(member, '^(%d+):(%d+)$')
    if registered[gid] then
      hand_over(key, registered[gid], epoch, 0)
    end
  end
  return room - #members
end

-- Hands claims of the dying to this epoch, as many as it may hold.
function deaths.hand_on(epoch)
  local room = BATCH - call('SCARD', epoch_key(epoch, ':lapsed'))
  local dead = call('LINDEX', key_of('dying'), 0)
  local registered = dead and by_number()
  while dead and room > 0 do
    room = hand_over_claims(dead, epoch, registered, room)
    room = hand_over_lapsed(dead, epoch, registered, room)
    if room > 0 then
      call('DEL', epoch_key(dead))
      call('LPOP', key_of('dying'))
      dead = call('LINDEX', key_of('dying'), 0)
    end
  end
  flush()
end

local function held_members(epoch)
  local found = {}
  for _, member in ipairs(call('SMEMBERS', epoch_key(epoch, ':lapsed'))) do
    local gid, key = string.match(member, '^(%d+):(%d+)$')
    local raw = call('HGET', deliveries_key(gid), key)
    local delivery = raw and unpack_delivery(raw)
    if delivery then
      found[#found + 1] = {gid = gid, key = key, sequence = delivery.sequence}
    end
  end
  table.sort(found, function(one, other)
    return one.sequence < other.sequence
  end)
  return found
end

-- The lapsed claims that the epoch holds, in the order of their claims: group and most stalls of each; the claims; and
-- whether their payloads were too large for all.
function deaths.held(epoch)
  local owners, taken, size, is_cut = {}, claims.none(), 0, false
  local held = held_members(epoch)
  local registered = #held > 0 and by_number() or {}
  for _, member in ipairs(held) do
    local group = registered[member.gid]
    local before = #taken.keys
    is_cut = size >= MOST_BYTES
    if is_cut then
      break
    elseif group then
      claims.read(taken, {member.key}, group, LAPSED)
    end
    if #taken.keys > before then
      owners[#owners + 1], owners[#owners + 2] = group.name, group.max_stalls
      size = size + call('HSTRLEN', queue.PAYLOADS, member.key)
    end
  end
  return owners, claims.answer(taken), is_cut
end

return deaths
