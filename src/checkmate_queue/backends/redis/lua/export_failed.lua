-- Reads failed entries, the oldest first, as many as fit.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: number to begin above   5: most of them   6: most bytes of payload
-- returns {'done', number looked at last or 0 at the end, for each: key, id, 1 if an occurrence, group, priority,
--   attempts, failed_at, 1 if dropped where unclaimed, error type, message, traceback, payload, enqueued_at}
-- include: lib/queue.lua
-- include: lib/failures.lua

local limit, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local numbers = redis.call('ZRANGEBYSCORE', queue.key_of('failed_order'), '(' .. ARGV[4], '+inf', 'LIMIT', 0, limit)
local answer, size, last = {'done', 0}, 0, nil
for _, number in ipairs(numbers) do
  if size >= most then
    break
  end
  last = number
  local entry = failures.read(number)
  if entry then
    for _, value in ipairs({entry[2], entry[3], entry[4] and 1 or 0, entry[5], entry[6], entry[7], entry[8],
      entry[9] and 1 or 0, entry[10], entry[11], entry[12], entry[13], entry[14]}) do
      answer[#answer + 1] = value
    end
    size = size + #entry[13]
  end
end
if last and (#numbers == limit or last ~= numbers[#numbers]) then
  answer[2] = tonumber(last)
end
return answer
