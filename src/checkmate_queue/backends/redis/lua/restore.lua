-- Stores records that move here, in a queue that stays closed (B2).
-- KEYS 1: queue   ARGV 1-3: as in lib/queue.lua   4: generation   5: place of this part among all parts of the move
--   6: successor   7: record format; then blocks, each a kind and what it needs:
--   queue     1 if paused, jobs, claims, revisions, completed, failed, expired, cancelled
--   group     name, 1 if ephemeral, most stalls, registered_at, away, warned_at, completed, failed, expired, cancelled
--   epoch     worker, span, 1 if alive, report, number of its groups, for each: name, number of the last exchange
--   schedule  id, payload, definition, timing, form, priority, misfire, overlap, unclaimed, first_at, revision, anchor,
--             next_at, last_run_at, last_outcome; '' for none of the last three
--   jobs      keys with commas, a record for each: those of sound jobs of users that are not delayed and never expire,
--             payload included
--   job       key, id, record, 1 if the payload lies apart, payload, due_at, expires_at, schedule; '' for none
--   unclaimed key, since
--   fresh     group, texts key:since with commas
--   started   group, key, attempts, stalls, since, sequence, 1 if in front
--   retry     group, key, attempts, stalls, due_at
--   claim     group, key, attempts, stalls, since, sequence, worker, exchange, 1 if cancelled, 1 if lapsed
--   failure   key, id, 1 if an occurrence, group, priority, attempts, failed_at, 1 if dropped where unclaimed, error
--             type, message, traceback, payload, enqueued_at
-- returns {'done'}, {'stale'} where a later generation has the queue
-- include: lib/queue.lua
-- include: lib/writes.lua
-- include: lib/records.lua
-- include: lib/jobs.lua
-- include: lib/moved_jobs.lua
-- include on demand: lib/moved_frame.lua
-- include on demand: lib/moved_claims.lua
-- include on demand: lib/failures.lua

local call = redis.call
local now, int = queue.now, queue.int

local generation, format, restored, epochs = unpack(call('HMGET', KEYS[1], 'generation', 'format', 'restored',
  'epochs'))
if tonumber(generation or 0) > tonumber(ARGV[4]) then
  return {'stale'}
end
if generation ~= ARGV[4] or not format then
  call('DEL', KEYS[1])
  call('HSET', KEYS[1], 'generation', ARGV[4], 'format', ARGV[7], 'successor', ARGV[6], 'contact', int(now),
    'attended_at', int(now), 'restored', 0, 'epochs', epochs or 0)
  restored = '0'
end
if not restored then
  return {'stale'}
end
if tonumber(restored) >= tonumber(ARGV[5]) then
  return {'done'}
end

-- each stores the block whose arguments begin there, and returns where the next one does
local doers = {
  jobs = moved_jobs.plain,
  job = moved_jobs.special,
  unclaimed = moved_jobs.unclaimed,
  fresh = moved_jobs.fresh,
  started = moved_jobs.started,
  failure = function(at)
    get_failures().restore(at)
    return at + 13
  end,
}
for _, kind in ipairs({'queue', 'group', 'epoch', 'schedule'}) do
  doers[kind] = function(at)
    return get_moved_frame()[kind](at)
  end
end
for _, kind in ipairs({'retry', 'claim'}) do
  doers[kind] = function(at)
    return get_moved_claims()[kind](at)
  end
end

local at = 8
while at <= #ARGV do
  at = doers[ARGV[at]](at + 1)
end
moved_jobs.finish()
writes.flush()
call('HSET', KEYS[1], 'restored', ARGV[5])
return {'done'}
