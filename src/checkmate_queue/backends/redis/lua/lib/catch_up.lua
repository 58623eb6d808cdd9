-- What every verb does before its own work, in batches: chores, and ending what has expired.
-- include: lib/chores.lua
-- include: lib/expiry.lua

-- True once nothing is left.
local function caught_up()
  return chores.caught_up() and expiry.caught_up()
end
