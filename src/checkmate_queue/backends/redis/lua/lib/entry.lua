-- How every writing verb begins.
-- include: lib/queue.lua
-- include: lib/epochs.lua

-- Returns the answer that refuses the call, or nil; renews the queue's contact.
local function enter()
  local fields = call('HMGET', KEYS[1], 'format', 'successor', 'contact', 'shortest_span')
  if not fields[1] then
    return {'unknown'}
  end
  if fields[2] then
    return {'fenced', fields[2]}
  end
  epochs.contact(tonumber(fields[3]), tonumber(fields[4] or nil))
  return nil
end

-- The same for the verbs of a worker.
local function enter_as(epoch)
  local refusal = enter()
  if not refusal and not epochs.lease(epoch) then
    return {'lost'}
  end
  return refusal
end
