-- Removes failed entries, a batch at each call.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: number to begin at   5: number to end at, or '' for the newest
--   6: group, or '' for all   7: id, where only its entries are meant
-- returns {'done', how many, number to go on at or 0, number to end at}; or {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/failures.lua

local call = redis.call
local BATCH, int, key_of = queue.BATCH, queue.int, queue.key_of

local refusal = entry.enter()
if refusal then
  return refusal
end

local from, group, id = tonumber(ARGV[4]), ARGV[6], ARGV[7]
local last = tonumber(ARGV[5] ~= '' and ARGV[5] or call('HGET', KEYS[1], 'failures') or 0)

local function numbers_of_id()
  local found = {}
  for _, occurrence in ipairs({false, true}) do
    for _, number in ipairs(failures.numbers(occurrence, id)) do
      if tonumber(number) >= from and tonumber(number) <= last then
        found[#found + 1] = number
      end
    end
  end
  table.sort(found, function(one, other)
    return tonumber(one) < tonumber(other)
  end)
  return found
end

local numbers = id and numbers_of_id()
  or call('ZRANGEBYSCORE', key_of('failed_order'), int(from), int(last), 'LIMIT', 0, BATCH)
local removed = 0
for at = 1, math.min(#numbers, BATCH) do
  local failed = failures.read(numbers[at])
  if group == '' or (failed and failed[5] == group) then
    failures.discard(numbers[at], failed)
    removed = removed + 1
  end
end
local following = #numbers >= BATCH and tonumber(numbers[BATCH]) + 1 or 0
return {'done', removed, following, last}
