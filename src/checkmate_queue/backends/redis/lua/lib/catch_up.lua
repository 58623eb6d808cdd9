-- What every verb does before its own work, in batches: chores, ending what has expired, making ready what is due.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/entry.lua
-- include on demand: lib/chores.lua
-- include on demand: lib/expiry.lua
-- include on demand: lib/promotion.lua

local call = redis.call
local now, DUE, key_of = queue.now, queue.DUE, queue.key_of

-- Does up to a batch of chores and of what has expired; true once none is left.
local function caught_up()
  local chores, unclaimed, expiry = key_of('chores'), key_of('unclaimed'), key_of('expiry')
  if call('EXISTS', chores, unclaimed, expiry) == 0 then
    return true
  end
  if call('EXISTS', chores) == 1 and not get_chores().caught_up() then
    return false
  end
  if call('EXISTS', unclaimed) == 1 or call('ZCOUNT', expiry, '-inf', now) > 0 then
    return get_expiry().caught_up()
  end
  return true
end

local function is_due()
  return call('ZCOUNT', DUE, '-inf', now) > 0
end

-- The same for verbs that promote: true once what is due fits one step.
local function fits()
  return caught_up() and (not is_due() or get_promotion().fits())
end

-- Makes ready all that is due, once it fits.
local function promote()
  if is_due() then
    get_promotion().promote()
  end
end

-- When the next of these sorted sets is due, or nil.
local function next_of(names, at)
  for _, name in ipairs(names) do
    local score = tonumber(call('ZRANGE', key_of(name), 0, 0, 'WITHSCORES')[2])
    if score and (not at or score < at) then
      at = score
    end
  end
  return at
end

return {
  caught_up = caught_up, fits = fits, promote = promote, next_of = next_of,
}
