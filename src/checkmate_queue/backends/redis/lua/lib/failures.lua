-- Failed entries: what is kept of deliveries that used their tries (F4).
-- `failed` holds the entries by number, `failed_order` their numbers, `failed_ids` the numbers of a job id.
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua

local call = redis.call
local now, BATCH, PAYLOADS, int, key_of = queue.now, queue.BATCH, queue.PAYLOADS, queue.int, queue.key_of
local OCCURRENCE, DROP, has = records.OCCURRENCE, records.DROP, records.has

local failures = {}

local function index_field(occurrence, id)
  return (occurrence and 'o' or 'u') .. id
end

local function store(entry)
  local number = int(call('HINCRBY', KEYS[1], 'failures', 1))
  call('HSET', key_of('failed'), number, cmsgpack.pack(entry))
  call('ZADD', key_of('failed_order'), number, number)
  local field = index_field(entry[4], entry[3])
  call('HSET', key_of('failed_ids'), field, (call('HGET', key_of('failed_ids'), field) or ',') .. number .. ',')
end

-- failure: error type, message, traceback
function failures.keep(key, job, group, attempts, failure)
  local payload = job.payload or call('HGET', PAYLOADS, key) or ''
  store({1, tonumber(key), job.id, has(job.flags, OCCURRENCE), group, job.priority, attempts, now, has(job.flags, DROP),
    failure[1], failure[2], failure[3], payload, job.enqueued_at})
end

-- One that moves here: key, id, 1 if an occurrence, group, priority, attempts, failed_at, 1 if dropped where unclaimed,
-- error type, message, traceback, payload and enqueued_at are in ARGV from `at` on.
function failures.restore(at)
  store({1, tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2] == '1', ARGV[at + 3], tonumber(ARGV[at + 4]),
    tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), ARGV[at + 7] == '1', ARGV[at + 8], ARGV[at + 9], ARGV[at + 10],
    ARGV[at + 11], tonumber(ARGV[at + 12])})
end

-- The numbers of an id's entries, the oldest first: occurrences of schedules apart.
function failures.numbers(occurrence, id)
  local found = {}
  for number in string.gmatch(call('HGET', key_of('failed_ids'), index_field(occurrence, id)) or '', '%d+') do
    found[#found + 1] = number
  end
  return found
end

-- Its values: format, job's key, id, whether an occurrence, group, priority, attempts, failed_at, whether dropped where
-- unclaimed, error type, message, traceback, payload, enqueued_at. Nil where it is gone or can't be read (X3).
function failures.read(number)
  local raw = call('HGET', key_of('failed'), number)
  local is_sound, entry = pcall(cmsgpack.unpack, raw or '')
  return raw and is_sound and type(entry) == 'table' and entry[1] == 1 and entry or nil
end

function failures.rename(number, old, new)
  local entry = failures.read(number)
  if entry and entry[5] == old then
    entry[5] = new
    call('HSET', key_of('failed'), number, cmsgpack.pack(entry))
  end
end

local function forget_id(number, entry)
  local field = index_field(entry[4], entry[3])
  local numbers = call('HGET', key_of('failed_ids'), field) or ','
  local from, to = string.find(numbers, ',' .. number .. ',', 1, true)
  local rest = from and string.sub(numbers, 1, from) .. string.sub(numbers, to + 1) or numbers
  if rest == ',' then
    call('HDEL', key_of('failed_ids'), field)
  else
    call('HSET', key_of('failed_ids'), field, rest)
  end
end

function failures.discard(number, entry)
  if entry then
    forget_id(number, entry)
  end
  call('HDEL', key_of('failed'), number)
  call('ZREM', key_of('failed_order'), number)
end

-- Discards the oldest above the retention count, up to a number.
function failures.trim(retention_count, most)
  local surplus = call('ZCARD', key_of('failed_order')) - retention_count
  if surplus <= 0 then
    return
  end
  for _, number in ipairs(call('ZRANGE', key_of('failed_order'), 0, math.min(surplus, most) - 1)) do
    failures.discard(number, failures.read(number))
  end
end

-- Discards up to a batch of what is past its retention; true where more is left.
function failures.expire(retention_ms)
  for _ = 1, BATCH do
    local number = call('ZRANGE', key_of('failed_order'), 0, 0)[1]
    local entry = number and failures.read(number)
    if not number or (entry and entry[8] + retention_ms > now) then
      return false
    end
    failures.discard(number, entry)
  end
  return true
end

return failures
