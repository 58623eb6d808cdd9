-- The stored form of jobs and of deliveries that were claimed at least once.
-- A job's payload and metadata lie apart, so that whoever moves a job does not touch them; small ones lie in its record,
-- where they take less.

local FORMAT = 1
-- format, state, flags, priority, enqueued_at, sizes of id, fan and token; then since and expires_at, where they are not
-- enqueued_at and 0; id, fan, token, and a small payload
local JOB = '>BBBi4dHHH'
local JOB_SIZE = 21
local FAN_SIZE_AT = 18
local TIMES_SIZE = 16
local SMALL = 256
-- format, state, cancelled, attempts, stalls, sequence of the claim, epoch, since
local DELIVERY = '>BBBI4I4ddd'
local DELIVERY_SIZE = 35

local DELAYED, UNCLAIMED, READY = 1, 2, 3 -- states of a job
local CLAIMED, LAPSED, RETRYING, QUEUED, FRONT = 1, 2, 3, 4, 5 -- states of a delivery

-- flags of a job: made by a schedule; dropped where unclaimed; what was never claimed of it has ended
local OCCURRENCE, DROP, CLOSED = 1, 2, 4
-- and of its record: since and expires_at are there; the payload is
local TIMES, INLINE = 8, 16

local function has(flags, flag)
  return flags % (2 * flag) >= flag
end

-- `payload` is nil where it is not small.
local function pack_fields(state, flags, priority, enqueued_at, since, expires_at, id, fan, token, payload)
  local times = ''
  if since ~= enqueued_at or expires_at ~= 0 then
    flags = flags + TIMES
    times = struct.pack('>dd', since, expires_at)
  end
  flags = payload and flags + INLINE or flags
  return struct.pack(JOB, FORMAT, state, flags, priority, enqueued_at, #id, #fan, #token) .. times .. id .. fan .. token
    .. (payload or '')
end

local function pack_job(job)
  return pack_fields(job.state, job.flags, job.priority, job.enqueued_at, job.since, job.expires_at, job.id, job.fan,
    job.token, job.payload)
end

-- The fields of a job without making a table: format, state, flags, priority, enqueued_at, since, expires_at, where id,
-- fan and token begin, and where the payload does or nil. A record that can't be read has the format 0 (X3).
local function job_fields(raw)
  if #raw < JOB_SIZE or string.byte(raw) ~= FORMAT then
    return 0, READY, 0, 0, 0, 0, 0, 1, 1, 1
  end
  local format, state, flags, priority, enqueued_at, id_size, fan_size, token_size, from = struct.unpack(JOB, raw)
  local has_times, is_inline = has(flags, TIMES), has(flags, INLINE)
  if #raw < JOB_SIZE + (has_times and TIMES_SIZE or 0) + id_size + fan_size + token_size then
    return 0, READY, 0, 0, 0, 0, 0, 1, 1, 1
  end
  local since, expires_at = enqueued_at, 0
  if has_times then
    since, expires_at, from = struct.unpack('>dd', raw, from)
  end
  local token_at = from + id_size + fan_size
  return format, state, flags % TIMES, priority, enqueued_at, since, expires_at, from, from + id_size, token_at,
    is_inline and token_at + token_size or nil
end

-- One that can't be read is a job without an id whose only delivery is the one at hand.
local function unpack_job(raw)
  local format, state, flags, priority, enqueued_at, since, expires_at, id_at, fan_at, token_at, payload_at =
    job_fields(raw)
  return {
    format = format,
    state = state,
    flags = flags,
    priority = priority,
    enqueued_at = enqueued_at,
    since = since,
    expires_at = expires_at,
    id = string.sub(raw, id_at, fan_at - 1),
    fan = format == 0 and ',' or string.sub(raw, fan_at, token_at - 1),
    token = format == 0 and '' or string.sub(raw, token_at, (payload_at or 0) - 1),
    payload = payload_at and string.sub(raw, payload_at) or nil,
  }
end

-- The record of a job with other groups; `from` and `to`: where those that it has begin, and what follows them.
local function with_fan(raw, fan, from, to)
  return string.sub(raw, 1, FAN_SIZE_AT - 1) .. struct.pack('>H', #fan) .. string.sub(raw, FAN_SIZE_AT + 2, from - 1) .. fan
    .. string.sub(raw, to)
end

local function pack_delivery(delivery)
  return struct.pack(DELIVERY, FORMAT, delivery.state, delivery.cancelled, delivery.attempts, delivery.stalls,
    delivery.sequence, delivery.epoch, delivery.since)
end

local function unpack_delivery(raw)
  if #raw < DELIVERY_SIZE or string.byte(raw) ~= FORMAT then
    return nil
  end
  local _, state, cancelled, attempts, stalls, sequence, epoch, since = struct.unpack(DELIVERY, raw)
  return {
    state = state,
    cancelled = cancelled,
    attempts = attempts,
    stalls = stalls,
    sequence = sequence,
    epoch = epoch,
    since = since,
  }
end

return {
  FORMAT = FORMAT, SMALL = SMALL, DELIVERY = DELIVERY, DELIVERY_SIZE = DELIVERY_SIZE,
  DELAYED = DELAYED, UNCLAIMED = UNCLAIMED, READY = READY, CLAIMED = CLAIMED, LAPSED = LAPSED, RETRYING = RETRYING,
  QUEUED = QUEUED, FRONT = FRONT, OCCURRENCE = OCCURRENCE, DROP = DROP, CLOSED = CLOSED, has = has,
  pack_fields = pack_fields, pack_job = pack_job, unpack_job = unpack_job, job_fields = job_fields, with_fan = with_fan,
  pack_delivery = pack_delivery, unpack_delivery = unpack_delivery,
}
