-- Makes the newest failed entries of an id ready again, as one new job (F4).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: id   5: group, or '' for all
-- returns {'done', how many}, {'exists'}; or {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/groups.lua
-- include: lib/readying.lua
-- include: lib/failures.lua

local call = redis.call
local now, AGAIN, key_of = queue.now, queue.AGAIN, queue.key_of
local READY, OCCURRENCE, DROP = records.READY, records.OCCURRENCE, records.DROP

local refusal = entry.enter(true)
if refusal then
  return refusal
end
if not catch_up.caught_up() then
  return AGAIN
end

local id, only = ARGV[4], ARGV[5]

-- The numbers of those entries, the oldest first, among which the newest is.
local function newest_numbers()
  local users, occurrences = failures.numbers(false, id), failures.numbers(true, id)
  local newest_of_users = tonumber(users[#users] or 0)
  return newest_of_users >= tonumber(occurrences[#occurrences] or 0) and users or occurrences
end

-- The entries that the newest job left, by number.
local function read_newest()
  local numbers, found, newest = newest_numbers(), {}, nil
  for at = #numbers, 1, -1 do
    local failed = failures.read(numbers[at])
    newest = newest or failed
    if failed and failed[2] ~= newest[2] then
      break
    elseif failed then
      found[#found + 1] = {numbers[at], failed}
    end
  end
  return found, newest
end

local function store(failed, gids)
  local key = call('HINCRBY', KEYS[1], 'jobs', 1)
  local job = {
    state = READY,
    flags = (failed[4] and OCCURRENCE or 0) + (failed[9] and DROP or 0),
    priority = failed[6],
    enqueued_at = failed[14],
    since = now,
    expires_at = 0,
    id = id,
    fan = '',
    token = '',
  }
  readying.create(key, job, failed[13])
  if failed[4] then
    get_series().list(key, job)
  end
  readying.make_ready(key, job, gids)
  writes.flush()
end

local found, newest = read_newest()
if call('HEXISTS', key_of(newest and newest[4] and 'occurrences' or 'ids'), id) == 1 then
  return {'exists'}
end
local gids, seen = {}, {}
for _, item in ipairs(found) do
  local number, failed = item[1], item[2]
  local group = (only == '' or only == failed[5]) and groups.find(failed[5])
  if group then
    failures.discard(number, failed)
    if not seen[group.gid] then
      seen[group.gid] = true
      gids[#gids + 1] = group.gid
    end
  end
end
if #gids > 0 then
  store(newest, gids)
end
return {'done', #gids}
