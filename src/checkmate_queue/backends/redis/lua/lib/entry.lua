-- How every writing verb begins.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include on demand: lib/gaps.lua

local call = redis.call
local now, LEASES, int = queue.now, queue.LEASES, queue.int

local paused = false

-- The end of the epoch's lease, or nil where it is dead or unknown.
local function lease_of(epoch)
  local expires_at = tonumber(call('ZSCORE', LEASES, epoch) or nil)
  return expires_at and expires_at > now and expires_at or nil
end

-- Returns the answer that refuses the call, or nil; renews the queue's contact. A server whose memory is full refuses a
-- script only if what it writes first may take memory. So all begin with what takes none, and can go on to make room,
-- but those that store something new.
local function enter(is_growing)
  local fields = call('HMGET', KEYS[1], 'format', 'successor', 'contact', 'shortest_span', 'paused', 'asleep')
  if fields[2] then
    return {'fenced', fields[2]}
  end
  if not fields[1] then
    return {'unknown'}
  end
  if not is_growing then
    call('HDEL', KEYS[1], '')
  end
  local contact, shortest_span = tonumber(fields[3]), tonumber(fields[4] or nil)
  local gap = now - contact
  if gap ~= 0 then
    call('HSET', KEYS[1], 'contact', int(now))
  end
  if shortest_span and (gap * 2 > shortest_span or gap < 0) then
    get_gaps().bridge(contact, gap)
  end
  paused = fields[5] == '1'
  writes.tally.asleep = fields[6] ~= false
  return nil
end

local function is_paused()
  return paused
end

-- The same for the verbs of a worker.
local function enter_as(epoch)
  local refusal = enter()
  if not refusal and not lease_of(epoch) then
    return {'lost'}
  end
  return refusal
end

return {
  lease_of = lease_of, enter = enter, enter_as = enter_as, is_paused = is_paused,
}
