-- Reads jobs, as many as fit.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: most bytes of payload   5...: keys
-- returns {'done', how many keys were looked at, for each job: its key, record, payload where that lies apart or '',
--   due_at or 0}
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua

local call = redis.call
local PAYLOADS, DUE = queue.PAYLOADS, queue.DUE
local job_fields = records.job_fields

local most = tonumber(ARGV[4])
local keys = {}
for at = 5, #ARGV do
  keys[#keys + 1] = ARGV[at]
end
local answer, looked, size = {'done', 0}, 0, 0
for i, raw in ipairs(writes.read(queue.JOBS, keys)) do
  if size >= most then
    break
  end
  looked = i
  if raw then
    local key = keys[i]
    local format, state, _, _, _, _, _, _, _, _, payload_at = job_fields(raw)
    local payload = format ~= 0 and not payload_at and call('HGET', PAYLOADS, key) or ''
    local due_at = format ~= 0 and state == records.DELAYED and call('ZSCORE', DUE, jobs.due_member(key))
    local from = #answer
    answer[from + 1], answer[from + 2], answer[from + 3], answer[from + 4] = key, raw, payload, tonumber(due_at or 0)
    size = size + #payload + #raw
  end
end
answer[2] = looked
return answer
