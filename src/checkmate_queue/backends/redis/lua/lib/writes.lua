-- Writes that are gathered and sent as few commands with many arguments; and news for those who sleep.
-- include: lib/queue.lua

local call = redis.call
local group_key, priorities_key, ready_key = queue.group_key, queue.priorities_key, queue.ready_key

-- unpack takes no more than about 8,000 values; even, so that pairs stay together
local CHUNK = 4000

local gathered, order, counts, pushes = {}, {}, {}, {}
-- readied: deliveries made ready by this script; asleep: whether somebody waits for news of the queue
local tally = {readied = 0, asleep = false}

-- A command on one key with as many arguments as there are.
local function send(command, key, args)
  for from = 1, #args, CHUNK do
    call(command, key, unpack(args, from, math.min(from + CHUNK - 1, #args)))
  end
end

-- Reads many fields of a hash; false where there is none.
local function read(key, fields)
  if #fields <= CHUNK then
    return #fields > 0 and call('HMGET', key, unpack(fields)) or {}
  end
  local values = {}
  for from = 1, #fields, CHUNK do
    local part = call('HMGET', key, unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
    for i = 1, #part do
      values[from + i - 1] = part[i]
    end
  end
  return values
end

-- Gathers `command key first [second]`. Commands of one kind on one key keep their order.
local function later(command, key, first, second)
  local of_command = gathered[command]
  if not of_command then
    of_command = {}
    gathered[command] = of_command
  end
  local args = of_command[key]
  if not args then
    args = {}
    of_command[key] = args
    order[#order + 1] = {command, key, args}
  end
  args[#args + 1] = first
  if second ~= nil then
    args[#args + 1] = second
  end
end

-- Gathers an addition to the counter `field` of the hash `key`.
local function count(key, field, delta)
  local of_key = counts[key]
  if not of_key then
    of_key = {}
    counts[key] = of_key
  end
  of_key[field] = (of_key[field] or 0) + delta
end

-- Gathers a delivery for the end of its priority.
local function push(key, priority, gid)
  local of_group = pushes[gid]
  if not of_group then
    of_group = {}
    pushes[gid] = of_group
  end
  local keys = of_group[priority]
  if not keys then
    keys = {}
    of_group[priority] = keys
  end
  keys[#keys + 1] = key
end

-- Tells those who sleep, once, that there is something to do.
local function wake()
  if tally.asleep then
    tally.asleep = false
    call('HDEL', KEYS[1], 'asleep')
    redis.pcall('PUBLISH', queue.key_of('news'), '') -- a hint, which a user without a right to the channel goes without
  end
end

-- Notes that the caller will sleep.
local function sleep()
  if not tally.asleep then
    tally.asleep = true
    call('HSET', KEYS[1], 'asleep', 1)
  end
end

-- Counts deliveries that were made ready.
local function note_ready(amount)
  tally.readied = tally.readied + amount
  wake()
end

-- Puts deliveries at the end of their priority.
local function push_all(keys, priority, gid)
  send('RPUSH', ready_key(gid, priority), keys)
  call('ZADD', priorities_key(gid), priority, priority)
  call('HINCRBY', group_key(gid), 'pending', #keys)
  note_ready(#keys)
end

local function flush()
  local commands, additions, deliveries = order, counts, pushes
  gathered, order, counts, pushes = {}, {}, {}, {}
  for _, entry in ipairs(commands) do
    send(entry[1], entry[2], entry[3])
  end
  for gid, of_group in pairs(deliveries) do
    for priority, keys in pairs(of_group) do
      push_all(keys, priority, gid)
    end
  end
  for key, fields in pairs(additions) do
    for field, delta in pairs(fields) do
      if delta ~= 0 then
        call('HINCRBY', key, field, delta)
      end
    end
  end
end

return {
  tally = tally, send = send, read = read, later = later, count = count, push = push, push_all = push_all,
  flush = flush, wake = wake, sleep = sleep, note_ready = note_ready,
}
