-- What nodes count and hand out beside runs: places of connections, and tickets. Follows `redis.lua` in one script.

function step.take_place(place, most)
  if not alive() then return GONE end
  if step.places(place) >= tonumber(most) then return 0 end
  call('INCR', key('place', place))
  call('HINCRBY', key('places', node), place, 1)
  return 1
end

-- `at` is the node that took the place: whoever buried it has freed the place.
function step.give_back_place(place, at)
  if call('HEXISTS', key('places', at), place) == 0 then return 0 end
  if call('HINCRBY', key('places', at), place, -1) == 0 then call('HDEL', key('places', at), place) end
  if call('DECR', key('place', place)) == 0 then call('DEL', key('place', place)) end
  return 1
end

function step.places(place)
  return tonumber(call('GET', key('place', place)) or 0)
end

function step.issue_ticket(owner, ticket, lifetime_ms, most, issued)
  local time = now()
  call('ZREMRANGEBYSCORE', key('tickets', owner), '-inf', time)
  if call('ZCARD', key('tickets', owner)) >= tonumber(most) then return 0 end
  call('ZADD', key('tickets', owner), time + lifetime_ms, ticket)
  call('PEXPIRE', key('tickets', owner), math.max(lifetime_ms, call('PTTL', key('tickets', owner))))
  call('HSET', key('ticket', ticket), 'owner', owner, 'issued', issued)
  call('PEXPIRE', key('ticket', ticket), lifetime_ms)
  return 1
end

function step.look_ticket(ticket)
  return call('HGET', key('ticket', ticket), 'issued')
end

function step.take_ticket(ticket)
  local owner, issued = unpack(call('HMGET', key('ticket', ticket), 'owner', 'issued'))
  if issued then
    call('DEL', key('ticket', ticket))
    call('ZREM', key('tickets', owner), ticket)
  end
  return issued
end

return step[ARGV[1]](unpack(ARGV, 3))
