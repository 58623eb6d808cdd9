-- Reads the keys of jobs, in no order.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: cursor, 0 at first
-- returns {'done', next cursor, keys with commas}
-- include: lib/queue.lua

local page = redis.call('HSCAN', queue.JOBS, ARGV[4], 'COUNT', queue.BATCH)
local keys = {}
for i = 1, #page[2], 2 do
  keys[#keys + 1] = page[2][i]
end
return {'done', tonumber(page[1]), table.concat(keys, ',')}
