-- Registered consumer groups: `groups` maps a name to number, kind and rule. Numbers never come again, so that what a
-- dropped group left is never mistaken for a new one's.
-- include: lib/queue.lua

local call = redis.call
local GROUPS, int = queue.GROUPS, queue.int

local groups = {}

local function unpack_group(name, raw)
  local _, gid, ephemeral, max_stalls, registered_at, away, warned_at, filling = unpack(cmsgpack.unpack(raw))
  return {
    name = name,
    gid = int(gid),
    ephemeral = ephemeral == 1,
    max_stalls = max_stalls,
    registered_at = registered_at,
    away = away,
    warned_at = warned_at,
    filling = filling,
  }
end

-- filling: how far a start from the earliest has come (lib/fills.lua), 'done', or '' for one from now
function groups.save(group)
  call('HSET', GROUPS, group.name, cmsgpack.pack({1, tonumber(group.gid), group.ephemeral and 1 or 0, group.max_stalls,
    group.registered_at, group.away, group.warned_at, group.filling}))
end

function groups.find(name)
  local raw = call('HGET', GROUPS, name)
  return raw and unpack_group(name, raw) or nil
end

function groups.is_filling(group)
  return group.filling ~= '' and group.filling ~= 'done'
end

-- Since when a job that was never claimed waits in the group: one that a start from the earliest gave to it, and that
-- does not carry it therefore, since the group is there. `fan`: the groups that the job carries.
function groups.since(group, fan, since)
  if group.filling == '' or string.find(fan, ',' .. group.gid .. ',', 1, true) then
    return since
  end
  return group.registered_at
end

function groups.all()
  local stored = call('HGETALL', GROUPS)
  local all = {}
  for i = 1, #stored, 2 do
    all[#all + 1] = unpack_group(stored[i], stored[i + 1])
  end
  return all
end

return groups
