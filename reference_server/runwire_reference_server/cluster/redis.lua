-- The atomic steps of the store on Redis; `redis_slots.lua` follows with those of places and tickets. ARGV[1] names the step, ARGV[2] the node that takes it; what follows are the
-- step's own arguments. Keys are made from names here, so that all of them live on one Redis.
--
-- OWNER is a principal, NAME is OWNER and `run_id`. Beginning with `runwire:`, there are
--   run:NAME           hash    what identifies the run and how it stands; `lease` is empty once it is finished
--   log:NAME           stream  entry SEQ-0: `e` the event, `t` when it was appended, `b` bytes of the log up to it,
--                              `h` where its text begins
--   inputs:NAME        hash    `r` REQUEST_ID the request, `o` REQUEST_ID its outcome, `a` REQUEST_ID its answer
--   readers:NAME       hash    reader -> node
--   answer:NAME        string  the answer text so far, as it stands in JSON
--   unfinished:OWNER   set     NAME
--   session:…          string  NAME of the session's last run, while that is unfinished
--   history:…          list    prompt and answer of each turn
--   sizes:OWNER        hash    NAME, or the name of a session -> bytes kept of it;  '' -> the sum of them
--   kept:OWNER         sorted set  the same names -> until when it is kept
--   nodes              sorted set  node -> when its lease ends
--   graces             sorted set  NAME -> when its grace ends
--   work:NODE          set     NAME of the runs whose lease the node holds
--   reads:NODE         hash    reader -> NAME
--   places:NODE        hash    place -> how many connections of it the node has
--   place:PLACE        string  how many there are on all nodes
--   ticket:TICKET      hash    `owner`, `issued`;  tickets:OWNER  sorted set  TICKET -> until when it is good

local call = redis.call
local node = ARGV[2]
local step = {}

-- Bytes that run_id, seq and ts add to an event beside their values' own.
local ENVELOPE = #',"run_id":"","seq":,"ts":"2026-11-27T12:00:00.000Z"'
local FINISHED = { completed = true, incomplete = true, cancelled = true, failed = true }

local function key(kind, name)
  return 'runwire:' .. kind .. (name and ':' .. name or '')
end

-- [NODE-9] Milliseconds on the clock that all nodes share.
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function alive()
  return call('ZSCORE', key('nodes'), node)
end

local GONE = redis.error_reply('GONE the lease of this node was taken')

local function snapshot(name)
  local run = call('HMGET', key('run', name),
    'epoch', 'status', 'seq', 'session_id', 'trace_id', 'prompt', 'inputs', 'request')
  return run[1] and run
end

local function unfinished(name)
  local fields = { 'status', 'seq', 'bytes', 'lease', 'node', 'open', 'run_id', 'trace_id' }
  local run = {}
  for place, value in ipairs(call('HMGET', key('run', name), unpack(fields))) do
    if not value then return nil end
    run[fields[place]] = value
  end
  return not FINISHED[run.status] and run or nil
end

-- Wake-ups are hints. A terminal concerns nodes that hold the run's lease or wait for their turn; they all hear of it.
local function wake(name, run, ended)
  if ended then call('PUBLISH', key('ended'), node .. ' ' .. name) end
  local told = { [node] = true }
  local listeners = call('HVALS', key('readers', name))
  table.insert(listeners, run.node)
  for _, listener in ipairs(listeners) do
    if not told[listener] then
      told[listener] = true
      call('PUBLISH', key('grown', listener), name)
    end
  end
end

-- Counts `bytes` of what is called `what` for a principal until then.
local function keep(owner, what, bytes, until_ms)
  local sizes = key('sizes', owner)
  call('HINCRBY', sizes, '', bytes - (call('HGET', sizes, what) or 0))
  call('HSET', sizes, what, bytes)
  call('ZADD', key('kept', owner), until_ms, what)
end

-- Returns how many bytes are kept for a principal, what unfinished runs have said among them.
local function kept(owner)
  local sizes, all = key('sizes', owner), key('kept', owner)
  for _, what in ipairs(call('ZRANGEBYSCORE', all, '-inf', now())) do
    call('HINCRBY', sizes, '', -call('HGET', sizes, what))
    call('HDEL', sizes, what)
    call('ZREM', all, what)
  end
  local bytes = tonumber(call('HGET', sizes, '') or 0)
  for _, name in ipairs(call('SMEMBERS', key('unfinished', owner))) do
    bytes = bytes + (call('HGET', key('run', name), 'bytes') or 0)
  end
  return bytes
end

-- Remembers a turn in its session, and forgets the oldest ones that are too many or too large.
local function remember(owner, session, prompt, answer, turns, most)
  local history = key('history', session)
  local bytes = (call('HGET', key('sizes', owner), session) or 0) + #prompt + #answer
  call('RPUSH', history, prompt, answer)
  while call('LLEN', history) > 2 * turns or (bytes > tonumber(most) and call('LLEN', history) > 2) do
    bytes = bytes - #call('LPOP', history) - #call('LPOP', history)
  end
  keep(owner, session, bytes, '+inf')
end

-- Gives up the lease and what counts for the run, and what was asked.
local function settle(name, run)
  local fields = call('HMGET', key('run', name), 'owner', 'session', 'prompt', 'window_ms', 'session_ms', 'turns',
    'turn_bytes', 'named', 'run_bytes')
  local owner, session, prompt, window_ms, session_ms, turns, turn_bytes, named, run_bytes = unpack(fields)
  call('SREM', key('unfinished', owner), name)
  call('SREM', key('work', run.node), name)
  call('ZREM', key('graces'), name)
  if named == '1' and run.status ~= 'failed' then
    remember(owner, session, prompt, call('GET', key('answer', name)) or '', turns, turn_bytes)
  end
  if call('GET', key('session', session)) == name then
    call('DEL', key('session', session))
    call('PEXPIRE', key('history', session), session_ms)
    call('ZADD', key('kept', owner), 'XX', now() + session_ms, session)
  end
  call('DEL', key('answer', name))
  call('HDEL', key('run', name), 'prompt', 'inputs')
  call('HSET', key('run', name), 'lease', '')
  keep(owner, name, run_bytes + run.bytes, now() + window_ms)
  for _, kind in ipairs({ 'run', 'log', 'inputs', 'readers' }) do
    call('PEXPIRE', key(kind, name), window_ms)
  end
  if call('SCARD', key('unfinished', owner)) == 0 then
    local longest = math.max(tonumber(window_ms), tonumber(session_ms))
    call('PEXPIRE', key('sizes', owner), longest)
    call('PEXPIRE', key('kept', owner), longest)
  end
end

-- Appends to a run that is unfinished. Each line of `lines` is an event: a letter for what it does beside standing in
-- the log, where its text begins (0: it has none), and its JSON text. The answer is kept as it stands there, with its
-- escapes. Returns the last seq, its event as it is kept, the time of all of them, and the size of the log.
local function append(name, run, lines)
  local time, answer, event = now(), {}, nil
  for effect, head, text in lines:gmatch('(%a)(%d*) ([^\n]*)') do
    event = text
    head = tonumber(head) or 0
    if effect == 't' then
      table.insert(answer, text:sub(head + 2, -3))
    elseif effect == 'r' then
      call('DEL', key('answer', name))
      answer = { text:sub(head + 2, -3) }
    elseif effect == 'q' then
      call('HSET', key('inputs', name), 'r' .. cjson.decode(text).request_id, text)
      run.open = run.open + 1
      run.status = 'waiting'
    elseif effect == 'c' then
      run.open = run.open - 1
      if run.open == 0 then run.status = 'running' end
    elseif effect == 'e' then
      local terminal = cjson.decode(text)
      run.status = terminal.type == 'error' and 'failed' or terminal.status
      event = text:sub(1, -2) .. ',"trace_id":"' .. run.trace_id .. '"}'
    end
    run.seq = run.seq + 1
    run.bytes = run.bytes + #event + ENVELOPE + #run.run_id + #tostring(run.seq)
    call('XADD', key('log', name), run.seq .. '-0', 'e', event, 't', time, 'b', run.bytes, 'h', head)
  end
  if #answer > 0 then call('APPEND', key('answer', name), table.concat(answer)) end
  call('HSET', key('run', name), 'status', run.status, 'seq', run.seq, 'bytes', run.bytes, 'open', run.open)
  local ended = FINISHED[run.status]
  if ended then settle(name, run) end
  wake(name, run, ended)
  return { run.seq, event, time, run.bytes }
end

-- Takes everything that a node held: it died, left, or lost touch ([NODE-4], [NODE-6]).
local function bury(dead, lost, ended)
  call('ZREM', key('nodes'), dead)
  for _, name in ipairs(call('SMEMBERS', key('work', dead))) do
    local run = unfinished(name)
    if run then table.insert(ended, append(name, run, 'e ' .. lost)[2]) end
  end
  local reads = call('HGETALL', key('reads', dead))
  for place = 1, #reads, 2 do
    step.detach(reads[place + 1], reads[place], 'own')
  end
  local places = call('HGETALL', key('places', dead))
  for place = 1, #places, 2 do
    if call('DECRBY', key('place', places[place]), places[place + 1]) <= 0 then
      call('DEL', key('place', places[place]))
    end
  end
  call('DEL', key('work', dead), key('reads', dead), key('places', dead))
end

-- Joins the nodes; `old` is what this one was called before it lost touch.
function step.join(old, lease_ms, lost)
  local ended = {}
  if old ~= '' then bury(old, lost, ended) end
  call('ZADD', key('nodes'), now() + lease_ms, node)
  return ended
end

function step.leave(lost)
  local ended = {}
  bury(node, lost, ended)
  return ended
end

-- Renews the node's lease, buries nodes that did not, ends runs whose grace is over; returns what it ended and
-- which leases of runs the node has.
function step.tend(lease_ms, lost, unread)
  local mine, time, ended = alive(), now(), {}
  if not mine then return GONE end
  call('ZADD', key('nodes'), time + lease_ms, node)
  -- Whoever is late itself knows nothing about others: perhaps it was the store that stood still.
  if tonumber(mine) > time then
    for _, dead in ipairs(call('ZRANGEBYSCORE', key('nodes'), '-inf', time)) do
      bury(dead, lost, ended)
    end
  end
  for _, name in ipairs(call('ZRANGEBYSCORE', key('graces'), '-inf', time)) do
    local item = step.finish_unread(name, 'e ' .. unread)
    if item then table.insert(ended, item[2]) end
  end
  return { ended, call('SMEMBERS', key('work', node)) }
end

-- Returns the last seq of each run, nil for those that are gone ([NODE-8]).
function step.heads(...)
  local heads = {}
  for place, name in ipairs({ ... }) do
    heads[place] = call('HGET', key('run', name), 'seq')
  end
  return heads
end

-- The run costs `bytes`, and `most_bytes` may be kept for its principal. The further arguments are the run's fields, by
-- turns name and value.
function step.create(name, owner, session, most, bytes, most_bytes, ...)
  if not alive() then return GONE end
  local existing = snapshot(name)
  if existing then return { 'existing', existing, call('HGET', key('run', name), 'body') } end
  if call('SCARD', key('unfinished', owner)) >= tonumber(most) then return { 'busy' } end
  if kept(owner) + bytes > tonumber(most_bytes) then return { 'full' } end
  call('PERSIST', key('sizes', owner))
  call('PERSIST', key('kept', owner))
  keep(owner, name, bytes, '+inf')
  call('ZADD', key('kept', owner), 'XX', '+inf', session)
  local before = call('GET', key('session', session))
  call('SET', key('session', session), name)
  call('PERSIST', key('history', session))
  call('HSET', key('run', name), 'node', node, 'owner', owner, 'session', session, 'seq', 0, 'bytes', 0, 'open', 0,
    'status', before and 'queued' or 'running', ...)
  call('SADD', key('unfinished', owner), name)
  call('SADD', key('work', node), name)
  return { 'created', snapshot(name), before }
end

function step.get(name)
  return snapshot(name)
end

function step.begin(name, lease)
  local run = unfinished(name)
  if not run or run.lease ~= lease then return 0 end
  if run.status == 'queued' then call('HSET', key('run', name), 'status', 'running') end
  return 1
end

function step.append(name, lease, expected, lines)
  local run = unfinished(name)
  if not run or run.lease ~= lease or run.seq + 1 ~= tonumber(expected) then return false end
  return append(name, run, lines)
end

function step.finish(name, line)
  local run = unfinished(name)
  return run and append(name, run, line)
end

function step.finish_unread(name, line)
  local until_ms = call('ZSCORE', key('graces'), name)
  if not until_ms or tonumber(until_ms) > now() then return false end
  call('ZREM', key('graces'), name)
  return step.finish(name, line)
end

function step.input_state(name, id)
  if call('EXISTS', key('run', name)) == 0 then return false end
  return call('HMGET', key('inputs', name), 'r' .. id, 'o' .. id, 'a' .. id)
end

function step.close_input(name, id, outcome, answer, line)
  local run = unfinished(name)
  local inputs = key('inputs', name)
  if not run or call('HEXISTS', inputs, 'r' .. id) == 0 or call('HEXISTS', inputs, 'o' .. id) == 1 then return 0 end
  call('HSET', inputs, 'o' .. id, outcome, 'a' .. id, answer)
  append(name, run, line)
  return 1
end

function step.history(session)
  return call('LRANGE', key('history', session), 0, -1)
end

function step.read(name, after, most)
  if call('EXISTS', key('run', name)) == 0 then return false end
  if tonumber(most) == 0 then return {} end -- Redis reads COUNT 0 as no range at all
  return call('XRANGE', key('log', name), after + 1, '+', 'COUNT', most)
end

-- Returns the last seq, and entries above `after`: as many as `most` bytes hold, one at least.
function step.fill(name, after, most)
  local seq = call('HGET', key('run', name), 'seq')
  if not seq then return false end
  local rows, first, from = {}, nil, tonumber(after) + 1
  while true do
    local piece = call('XRANGE', key('log', name), from, '+', 'COUNT', 64)
    for _, row in ipairs(piece) do
      local bytes = tonumber(row[2][6])
      first = first or bytes
      if bytes - first > tonumber(most) then return { tonumber(seq), rows } end
      table.insert(rows, row)
    end
    if #piece < 64 then return { tonumber(seq), rows } end
    from = from + 64
  end
end

function step.bytes_after(name, after)
  local bytes = call('HGET', key('run', name), 'bytes')
  local before = call('XRANGE', key('log', name), after, after)[1]
  return bytes and bytes - (before and before[2][6] or 0)
end

function step.attach(name, reader, after, epoch)
  if not alive() then return GONE end
  local run = snapshot(name)
  if not run or (epoch ~= '' and epoch ~= run[1]) then return false end
  if tonumber(after) > tonumber(run[3]) then return 'beyond' end
  call('HSET', key('readers', name), reader, node)
  call('HSET', key('reads', node), reader, name)
  call('ZREM', key('graces'), name)
  return run
end

-- `grace_ms` is a number, `none`, or `own` for what the run was created with.
function step.detach(name, reader, grace_ms)
  local at = call('HGET', key('readers', name), reader)
  if not at then return 0 end
  call('HDEL', key('readers', name), reader)
  call('HDEL', key('reads', at), reader)
  if grace_ms == 'own' then grace_ms = call('HGET', key('run', name), 'grace_ms') end
  if grace_ms == 'none' or call('HLEN', key('readers', name)) > 0 or not unfinished(name) then return 0 end
  call('ZADD', key('graces'), now() + grace_ms, name)
  return 1
end
