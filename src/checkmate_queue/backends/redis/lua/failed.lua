-- Reads failed entries, the newest first.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: number to begin below, or ''   5: most of them   6: group, or ''
-- returns {'done', number looked at last or 0 at the end, for each: number, id, group, attempts, failed_at, error type,
--   message, traceback, payload}
-- include: lib/queue.lua
-- include: lib/failures.lua

local call = redis.call

local before, limit, group = ARGV[4] == '' and '+inf' or '(' .. ARGV[4], tonumber(ARGV[5]), ARGV[6]
local amount = group == '' and math.min(limit, queue.BATCH) or queue.BATCH
local numbers = call('ZREVRANGEBYSCORE', queue.key_of('failed_order'), before, '-inf', 'LIMIT', 0, amount)
local answer, found = {'done', 0}, 0
for _, number in ipairs(numbers) do
  local failed = failures.read(number)
  if failed and found < limit and (group == '' or failed[5] == group) then
    found = found + 1
    for _, value in ipairs({number, failed[3], failed[5], failed[7], failed[8], failed[10], failed[11], failed[12],
      failed[13]}) do
      answer[#answer + 1] = value
    end
  end
end
answer[2] = #numbers == amount and tonumber(numbers[#numbers]) or 0
return answer
