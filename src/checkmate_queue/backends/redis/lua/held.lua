-- The keys of jobs that one epoch holds in any state, lapsed ones included; or, without an epoch, those who may hold.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: epoch or ''
-- returns {'done', keys or epochs...}
-- include: lib/queue.lua

local call = redis.call
local key_of, epoch_key, claims_key = queue.key_of, queue.epoch_key, queue.claims_key

local answer = {'done'}

local function include(values, pattern)
  for _, value in ipairs(values) do
    answer[#answer + 1] = string.match(value, pattern)
  end
end

local epoch = ARGV[4]
if epoch == '' then
  include(call('ZRANGE', queue.LEASES, 0, -1), '.*')
  include(call('LRANGE', key_of('dying'), 0, -1), '.*')
  return answer
end
for gid in string.gmatch(call('HGET', epoch_key(epoch), 'groups') or '', '%d+') do
  include(call('SMEMBERS', claims_key(epoch, gid)), '.*')
end
include(call('SMEMBERS', epoch_key(epoch, ':lapsed')), '%d+$')
return answer
