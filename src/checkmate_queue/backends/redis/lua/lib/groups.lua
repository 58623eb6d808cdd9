-- Consumer groups: who is registered, who is live, how one goes.
-- `groups` maps a name to number, kind and rule; the numbers never come again, so that what a dropped group left is
-- never mistaken for a new one's. `members` maps the number to ",epoch,epoch,".
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/epochs.lua

local groups = {}

local LIFETIME = {'completed', 'failed', 'expired', 'cancelled'}
local OPEN = {'pending', 'retrying', 'processing'}

function groups.unpack(name, raw)
  local gid, ephemeral, max_stalls, registered_at, away, warned_at = unpack(cmsgpack.unpack(raw), 2, 7)
  return {
    name = name,
    gid = gid,
    ephemeral = ephemeral == 1,
    max_stalls = max_stalls,
    registered_at = registered_at,
    away = away,
    warned_at = warned_at,
  }
end

function groups.save(group)
  call('HSET', key_of('groups'), group.name, cmsgpack.pack({1, group.gid, group.ephemeral and 1 or 0,
    group.max_stalls, group.registered_at, group.away, group.warned_at}))
end

function groups.find(name)
  local raw = call('HGET', key_of('groups'), name)
  return raw and groups.unpack(name, raw) or nil
end

function groups.all()
  local stored = call('HGETALL', key_of('groups'))
  local all = {}
  for i = 1, #stored, 2 do
    all[#all + 1] = groups.unpack(stored[i], stored[i + 1])
  end
  return all
end

function groups.members(gid)
  return call('HGET', key_of('members'), gid) or ','
end

function groups.attended(gid)
  for epoch in string.gmatch(groups.members(gid), '%d+') do
    if epochs.lease(epoch) then
      return true
    end
  end
  return false
end

-- The numbers of the groups that jobs are fanned out to (G1, G4).
function groups.live(all)
  local live = {}
  for _, group in ipairs(all or groups.all()) do
    if not group.ephemeral or groups.attended(group.gid) then
      live[#live + 1] = group.gid
    end
  end
  return live
end

function groups.enlist(gid, epoch)
  local members = groups.members(gid)
  if not string.find(members, ',' .. epoch .. ',', 1, true) then
    call('HSET', key_of('members'), gid, members .. epoch .. ',')
  end
end

function groups.dismiss(gid, epoch)
  local members = groups.members(gid)
  local from, to = string.find(members, ',' .. epoch .. ',', 1, true)
  if not from then
    return
  end
  local rest = string.sub(members, 1, from) .. string.sub(members, to + 1)
  if rest == ',' then
    call('HDEL', key_of('members'), gid)
  else
    call('HSET', key_of('members'), gid, rest)
  end
end

-- Marks the group as gone and settles its numbers; a chore removes its deliveries.
function groups.drop(group)
  writes.flush()
  local key = group_key(group.gid)
  for _, field in ipairs(LIFETIME) do
    writes.count(KEYS[1], field, tonumber(call('HGET', key, field) or 0))
  end
  for _, field in ipairs(OPEN) do
    writes.count(KEYS[1], 'expired', tonumber(call('HGET', key, field) or 0))
  end
  writes.flush()
  call('DEL', key)
  call('HDEL', key_of('groups'), group.name)
  call('HDEL', key_of('members'), group.gid)
  call('HDEL', key_of('fills'), group.gid)
  call('RPUSH', key_of('chores'), 'drop:' .. group.gid)
end
