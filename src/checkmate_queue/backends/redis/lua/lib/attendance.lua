-- The account of durable groups that nobody consumes while others of their queue have a live member (G4).
-- include: lib/queue.lua
-- include: lib/members.lua

local call = redis.call
local now, LEASES, int = queue.now, queue.LEASES, queue.int

local attendance = {}

local DAY = 86400000

-- When the last lease among the group's members ends or ended; 0 without a member.
local function attended_until(gid)
  local latest = 0
  for epoch in string.gmatch(members.of(gid), '%d+') do
    latest = math.max(latest, tonumber(call('ZSCORE', LEASES, epoch) or 0))
  end
  return latest
end

-- Adds up the time since the last account; called before memberships change, and at every tick. A lease that ran out
-- meanwhile attended its group until then.
function attendance.account()
  local since = tonumber(call('HGET', KEYS[1], 'attended_at'))
  call('HSET', KEYS[1], 'attended_at', int(now))
  local all, own, latest = groups.all(), {}, 0
  for i, group in ipairs(all) do
    own[i] = attended_until(group.gid)
    latest = math.max(latest, own[i])
  end
  latest = math.min(now, latest)
  for i, group in ipairs(all) do
    local away = latest - math.max(since, own[i])
    if not group.ephemeral and away > 0 then
      group.away = group.away + away
      groups.save(group)
    end
  end
end

local function unattended_groups()
  local durable, unattended = 0, {}
  for _, group in ipairs(groups.all()) do
    if not group.ephemeral then
      durable = durable + 1
      if not members.attend(group.gid) then
        unattended[#unattended + 1] = group
      end
    end
  end
  table.sort(unattended, function(one, other)
    return one.away > other.away
  end)
  return durable, unattended
end

local function must_warn(group)
  return group.away >= DAY and (group.warned_at == 0 or now - group.warned_at >= DAY)
end

-- Drops groups whose time is over, but never the last durable one; adds their names to `dropped`. Returns name and
-- date of those to warn of.
function attendance.judge(retention_ms, dropped)
  local abandoned = {}
  local durable, unattended = unattended_groups()
  for _, group in ipairs(unattended) do
    if durable == 1 then
      break
    elseif group.away >= retention_ms then
      members.drop_group(group)
      durable = durable - 1
      dropped[#dropped + 1] = group.name
    elseif must_warn(group) then
      group.warned_at = now
      groups.save(group)
      abandoned[#abandoned + 1] = {group.name, int(now + retention_ms - group.away)}
    end
  end
  return abandoned
end

return attendance
