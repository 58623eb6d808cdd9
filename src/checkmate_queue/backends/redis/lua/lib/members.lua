-- Who consumes in which group, and how a group goes. `members` maps a group's number to ",epoch,epoch,".
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/entry.lua
-- include: lib/groups.lua

local call = redis.call
local GROUPS, key_of, group_key = queue.GROUPS, queue.key_of, queue.group_key
local count, flush = writes.count, writes.flush
local lease_of = entry.lease_of

local members = {}

local LIFETIME = {'completed', 'failed', 'expired', 'cancelled'}
local UNFINISHED = {'pending', 'retrying', 'processing'}

function members.of(gid)
  return call('HGET', key_of('members'), gid) or ','
end

function members.attend(gid)
  for epoch in string.gmatch(members.of(gid), '%d+') do
    if lease_of(epoch) then
      return true
    end
  end
  return false
end

-- The numbers of the groups that jobs are fanned out to (G1, G4).
function members.live()
  local live = {}
  for _, group in ipairs(groups.all()) do
    if not group.ephemeral or members.attend(group.gid) then
      live[#live + 1] = group.gid
    end
  end
  return live
end

function members.add(gid, epoch)
  local list = members.of(gid)
  if not string.find(list, ',' .. epoch .. ',', 1, true) then
    call('HSET', key_of('members'), gid, list .. epoch .. ',')
  end
end

function members.remove(gid, epoch)
  local list = members.of(gid)
  local from, to = string.find(list, ',' .. epoch .. ',', 1, true)
  if not from then
    return
  end
  local rest = string.sub(list, 1, from) .. string.sub(list, to + 1)
  if rest == ',' then
    call('HDEL', key_of('members'), gid)
  else
    call('HSET', key_of('members'), gid, rest)
  end
end

-- Marks the group as gone and settles its numbers; a chore removes its deliveries.
function members.drop_group(group)
  flush()
  local key = group_key(group.gid)
  for _, field in ipairs(LIFETIME) do
    count(KEYS[1], field, tonumber(call('HGET', key, field) or 0))
  end
  for _, field in ipairs(UNFINISHED) do
    count(KEYS[1], 'expired', tonumber(call('HGET', key, field) or 0))
  end
  local signalled = tonumber(call('HGET', key, 'signalled') or 0) -- these end as cancelled
  count(KEYS[1], 'cancelled', signalled)
  count(KEYS[1], 'expired', -signalled)
  flush()
  call('DEL', key)
  call('HDEL', GROUPS, group.name)
  call('HDEL', key_of('members'), group.gid)
  call('RPUSH', key_of('chores'), 'drop:' .. group.gid)
end

return members
