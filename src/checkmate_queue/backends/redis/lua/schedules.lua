-- Reads schedules in the order of their ids.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: id to begin after   5: most of them, or '' for those named
--   6...: ids
-- returns {'done', schedules (lib/schedule_records.lua)...} or {'unknown'}
-- include: lib/queue.lua
-- include: lib/schedule_records.lua

local call = redis.call
local key_of = queue.key_of

if call('HEXISTS', KEYS[1], 'format') == 0 then
  return {'unknown'}
end

local ids = {}
if ARGV[5] == '' then
  for at = 6, #ARGV do
    ids[#ids + 1] = ARGV[at]
  end
else
  local from = ARGV[4] == '' and '-' or '(' .. ARGV[4]
  ids = call('ZRANGEBYLEX', key_of('schedules'), from, '+', 'LIMIT', 0, ARGV[5])
end
local answer = {'done'}
for _, id in ipairs(ids) do
  local found = schedule_records.read(id)
  if found[2] then
    answer[#answer + 1] = found
  end
end
return answer
