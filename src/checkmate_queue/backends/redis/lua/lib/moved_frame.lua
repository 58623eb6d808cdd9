-- Storing what is not a job: the queue's numbers, its groups, its workers and its schedules.
-- include: lib/queue.lua
-- include: lib/members.lua
-- include: lib/schedule_records.lua

local call = redis.call
local LEASES, int, key_of, group_key, epoch_key = queue.LEASES, queue.int, queue.key_of, queue.group_key,
  queue.epoch_key

local moved_frame = {}

local OUTCOMES = {'completed', 'failed', 'expired', 'cancelled'}

local function note_ended(key, at)
  for i, field in ipairs(OUTCOMES) do
    if ARGV[at + i - 1] ~= '0' then
      call('HSET', key, field, ARGV[at + i - 1])
    end
  end
end

function moved_frame.queue(at)
  if ARGV[at] == '1' then
    call('HSET', KEYS[1], 'paused', 1)
  end
  call('HSET', KEYS[1], 'jobs', ARGV[at + 1], 'claims', ARGV[at + 2], 'revisions', ARGV[at + 3])
  note_ended(KEYS[1], at + 4)
  return at + 8
end

function moved_frame.group(at)
  local group = {
    name = ARGV[at],
    gid = int(call('HINCRBY', KEYS[1], 'groups', 1)),
    ephemeral = ARGV[at + 1] == '1',
    max_stalls = tonumber(ARGV[at + 2]),
    registered_at = tonumber(ARGV[at + 3]),
    away = tonumber(ARGV[at + 4]),
    warned_at = tonumber(ARGV[at + 5]),
    filling = '',
  }
  groups.save(group)
  note_ended(group_key(group.gid), at + 6)
  return at + 10
end

local function note_span(span)
  local shortest = tonumber(call('HGET', KEYS[1], 'shortest_span') or nil)
  if not shortest or tonumber(span) < shortest then
    call('HSET', KEYS[1], 'shortest_span', span)
  end
end

-- Until the queue is opened a lease is only a mark of whether it lives.
function moved_frame.epoch(at)
  local worker, span, alive, report, amount = unpack(ARGV, at, at + 4)
  -- By the time, as in join.lua: one who slept through several switches must not take another's for its own.
  local epoch = int(math.max(tonumber(call('HGET', KEYS[1], 'epochs') or 0) + 1, queue.now))
  call('HSET', KEYS[1], 'epochs', epoch)
  local joined = ','
  for i = 0, tonumber(amount) - 1 do
    local gid = groups.find(ARGV[at + 5 + 2 * i]).gid
    joined = joined .. gid .. ','
    call('HSET', epoch_key(epoch), 'exchanges:' .. gid, ARGV[at + 6 + 2 * i], 'taken:' .. gid, '', 'refused:' .. gid, '',
      'left:' .. gid, 0)
    members.add(gid, epoch)
  end
  call('HSET', epoch_key(epoch), 'worker', worker, 'span', span, 'report', report, 'groups', joined)
  call('HSET', key_of('workers'), worker, epoch)
  call('ZADD', LEASES, alive, epoch)
  note_span(span)
  return at + 5 + 2 * tonumber(amount)
end

function moved_frame.schedule(at)
  local id = ARGV[at]
  local fields = {'data', 'definition', 'timing', 'form', 'priority', 'misfire', 'overlap', 'unclaimed', 'first_at',
    'revision', 'anchor'}
  local key = key_of('schedule:' .. id)
  for i, field in ipairs(fields) do
    call('HSET', key, field, ARGV[at + i])
  end
  call('ZADD', key_of('schedules'), 0, id)
  schedule_records.plan(id, ARGV[at + 12])
  for i, field in ipairs({'last_run_at', 'last_outcome'}) do
    if ARGV[at + 12 + i] ~= '' then
      call('HSET', key, field, ARGV[at + 12 + i])
    end
  end
  return at + 15
end

return moved_frame
