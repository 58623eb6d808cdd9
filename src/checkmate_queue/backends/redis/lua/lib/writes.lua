-- Writes that are gathered and sent as few commands with many arguments.
-- include: lib/queue.lua

-- unpack takes no more than about 8,000 values; even, so that pairs stay together
local CHUNK = 4000

local writes = {gathered = {}, order = {}, counts = {}}

-- Gathers `command key first [second]`. Commands of one kind on one key keep their order.
function writes.later(command, key, first, second)
  local of_command = writes.gathered[command]
  if not of_command then
    of_command = {}
    writes.gathered[command] = of_command
  end
  local args = of_command[key]
  if not args then
    args = {}
    of_command[key] = args
    writes.order[#writes.order + 1] = {command, key, args}
  end
  args[#args + 1] = first
  if second ~= nil then
    args[#args + 1] = second
  end
end

-- Gathers an addition to the counter `field` of the hash `key`.
function writes.count(key, field, delta)
  local of_key = writes.counts[key]
  if not of_key then
    of_key = {}
    writes.counts[key] = of_key
  end
  of_key[field] = (of_key[field] or 0) + delta
end

function writes.flush()
  local order, counts = writes.order, writes.counts
  writes.gathered, writes.order, writes.counts = {}, {}, {}
  for _, entry in ipairs(order) do
    local args = entry[3]
    for from = 1, #args, CHUNK do
      call(entry[1], entry[2], unpack(args, from, math.min(from + CHUNK - 1, #args)))
    end
  end
  for key, fields in pairs(counts) do
    for field, delta in pairs(fields) do
      if delta ~= 0 then
        call('HINCRBY', key, field, delta)
      end
    end
  end
end

-- Reads many fields of a hash; false where there is none.
function writes.read(key, fields)
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

local later, count = writes.later, writes.count
