-- Stores new jobs, in units that are each all or nothing.
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: largest size or ''   5: number of units
--   then for each unit the number of its jobs, and for each job 3: id, options, payload; options are '' or, with commas:
--   priority, delay in ms, expiry in ms or nothing, 1 for dropped where unclaimed, token
-- returns {'done', 1 if a chore is left, one answer for each unit}: 'full', or a character for each job: 1 created,
--   0 duplicate, 2 duplicate with the same token; or {'again'}, {'unknown'}, {'fenced', successor}
-- include: lib/queue.lua
-- include: lib/entry.lua
-- include: lib/catch_up.lua
-- include: lib/members.lua
-- include: lib/readying.lua
-- include on demand: lib/attendance.lua
-- include on demand: lib/deaths.lua

local call = redis.call
local now, AGAIN, JOBS, PAYLOADS, DUE = queue.now, queue.AGAIN, queue.JOBS, queue.PAYLOADS, queue.DUE
local int, key_of, group_key = queue.int, queue.key_of, queue.group_key
local send, read, later, count, push_all = writes.send, writes.read, writes.later, writes.count, writes.push_all
local flush = writes.flush
local DELAYED, READY, DROP, SMALL = records.DELAYED, records.READY, records.DROP, records.SMALL
local pack_job, pack_fields = records.pack_job, records.pack_fields
local enter = entry.enter
local caught_up = catch_up.caught_up

local WIDTH = 3
local GRACE = 3600000 -- ms in which those who tick find out first who is dead, and tell
local MOST_PUSHES = 4 * queue.BATCH
local limited = ARGV[4] ~= ''

local refusal = enter(true)
if refusal then
  return refusal
end
if not caught_up() then
  return AGAIN
end
-- Where only producers run, nobody ticks: groups that are gone must not pile up for it.
if call('ZCOUNT', queue.LEASES, '-inf', now - GRACE) > 0 then
  get_attendance().account()
  get_deaths().reap()
end

local function first_due()
  return writes.tally.asleep and call('ZRANGE', DUE, 0, 0)[1]
end

local due_before = first_due()
local registered = groups.all()
local live = members.live()
local known = {} -- the tokens of living jobs, by id

local function read_known()
  local ids, at = {}, 6
  for _ = 1, tonumber(ARGV[5]) do
    local amount = tonumber(ARGV[at])
    for i = 1, amount do
      ids[#ids + 1] = ARGV[at + 1 + (i - 1) * WIDTH]
    end
    at = at + 1 + amount * WIDTH
  end
  for i, key in ipairs(read(key_of('ids'), ids)) do
    local job = key and jobs.read(key)
    known[ids[i]] = job and job.token or nil
  end
end

local size = {fixed = 0, groups = {}}

local function read_size()
  local fields = call('HMGET', KEYS[1], 'delayed', 'unclaimed')
  size.fixed = tonumber(fields[1] or 0) + tonumber(fields[2] or 0)
  for _, group in ipairs(registered) do
    size.groups[group.gid] = tonumber(call('HGET', group_key(group.gid), 'pending') or 0)
  end
end

local function has_room(amount)
  local fullest = 0
  for _, pending in pairs(size.groups) do
    fullest = math.max(fullest, pending)
  end
  return size.fixed + fullest + amount <= tonumber(ARGV[4])
end

local function grow(delayed)
  if delayed or #live == 0 then
    size.fixed = size.fixed + 1
    return
  end
  for _, gid in ipairs(live) do
    size.groups[gid] = size.groups[gid] + 1
  end
end

-- priority, delay, expires, drop, token
local function options_of(options)
  if options == '' then
    return '0', '0', '', '0', ''
  end
  return string.match(options, '^(%-?%d+),(%d+),(%d*),(%d),(.*)$')
end

local function token_of(options)
  local _, _, _, _, token = options_of(options)
  return token
end

-- Marks each job of the unit; returns the marks and how many are new.
local function mark(at, amount)
  local marks, seen, fresh = {}, {}, 0
  for i = 1, amount do
    local from = at + (i - 1) * WIDTH
    local id = ARGV[from]
    local living = known[id]
    if not seen[id] and not living then
      seen[id] = true
      fresh = fresh + 1
      marks[i] = '1'
    else
      marks[i] = living and living ~= '' and not seen[id] and living == token_of(ARGV[from + 1]) and '2' or '0'
    end
  end
  return marks, fresh
end

local fan = readying.fan(live)
local new = {ids = {}, payloads = {}, records = {}, lists = {}}

-- The common case without making tables: a job that is ready at once.
local function store_ready(key, id, priority, flags, expires_at, token, payload)
  local at = #new.records + 1
  new.records[at] = key
  new.records[at + 1] = pack_fields(READY, flags, priority, now, now, expires_at, id, fan, token, payload)
  local list = new.lists[priority]
  if not list then
    list = {}
    new.lists[priority] = list
  end
  list[#list + 1] = key
end

local function store_waiting(key, id, priority, flags, expires_at, token, payload, delay)
  local job = {
    state = DELAYED,
    flags = flags,
    priority = tonumber(priority),
    enqueued_at = now,
    since = now,
    expires_at = expires_at,
    id = id,
    fan = '',
    token = token,
    payload = payload,
  }
  if delay > 0 then
    later('HSET', JOBS, key, pack_job(job))
    later('ZADD', DUE, int(now + delay), jobs.due_member(key))
    count(KEYS[1], 'delayed', 1)
  else
    readying.make_ready(key, job, live)
  end
end

local function store(key, from)
  local priority, delay, expires, drop, token = options_of(ARGV[from + 1])
  local flags = drop == '1' and DROP or 0
  if flags == DROP and delay == '0' and #live == 0 then
    count(KEYS[1], 'expired', 1)
    return
  end
  local id, payload, at = ARGV[from], ARGV[from + 2], #new.ids + 1
  known[id] = token
  new.ids[at], new.ids[at + 1] = id, key
  if #payload > SMALL then
    new.payloads[#new.payloads + 1] = key
    new.payloads[#new.payloads + 1] = payload
    payload = nil
  end
  local expires_at = expires ~= '' and now + tonumber(expires) or 0
  if expires_at > 0 then
    later('ZADD', key_of('expiry'), int(expires_at), key)
  end
  if delay == '0' and #live > 0 then
    store_ready(key, id, priority, flags, expires_at, token, payload)
  else
    store_waiting(key, id, priority, flags, expires_at, token, payload, tonumber(delay))
  end
  if limited then
    grow(delay ~= '0')
  end
end

-- Fans out as much as one step may; the rest of the groups is a chore, which is done before all else.
local function fan_out_new()
  local amount, last = 0, nil
  for _, keys in pairs(new.lists) do
    amount, last = amount + #keys, keys[#keys]
  end
  if amount == 0 then
    return
  end
  local at_once = math.min(#live, math.max(1, math.floor(MOST_PUSHES / amount)))
  for priority, keys in pairs(new.lists) do
    for i = 1, at_once do
      push_all(keys, priority, live[i])
    end
    if at_once < #live then
      send('RPUSH', key_of('fan:' .. last .. ':' .. priority), keys)
      call('RPUSH', key_of('fan:' .. last .. ':priorities'), priority)
    end
  end
  if at_once < #live then
    local rest = {unpack(live, at_once + 1)}
    send('RPUSH', key_of('fan:' .. last), rest)
    call('RPUSH', key_of('chores'), 'fan:' .. last)
  end
end

local function send_new()
  send('HSET', key_of('ids'), new.ids)
  send('HSET', PAYLOADS, new.payloads)
  send('HSET', JOBS, new.records)
  fan_out_new()
  flush()
end

local function add_unit(at, amount)
  local marks, fresh = mark(at, amount)
  if limited and fresh > 0 and not has_room(fresh) then
    return 'full'
  end
  local key = fresh > 0 and call('HINCRBY', KEYS[1], 'jobs', fresh) - fresh
  for i = 1, amount do
    if marks[i] == '1' then
      key = key + 1
      store(key, at + (i - 1) * WIDTH)
    end
  end
  return table.concat(marks)
end

read_known()
if limited then
  read_size()
end
local answer, at = {'done', 0}, 6
for unit = 1, tonumber(ARGV[5]) do
  local amount = tonumber(ARGV[at])
  answer[unit + 2] = add_unit(at + 1, amount)
  at = at + 1 + amount * WIDTH
end
send_new()
if first_due() ~= due_before then
  writes.wake()
end
answer[2] = call('EXISTS', key_of('chores'))
return answer
