-- What a command did, fenced by its worker, ordered by rev.
-- KEYS: session, tracks. ARGV: app, worker, rev, lease (ms),
-- '1' when the whole list of publications follows, then name, JSON, ...
--
-- 'rev' says up to where the entry is complete. A reply that carries the list
-- is complete by itself; one that does not is only when it is the next. After a
-- gap 'rev' stays behind, and the worker's renewal restores the entry.
local app, worker, rev, lease, carries = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local s = redis.call('HMGET', KEYS[1], 'app', 'state', 'worker', 'rev', 'tracksRev')
if not s[1] then
  if not carries then return 'behind' end -- half an entry would look complete
  redis.call('HSET', KEYS[1], 'app', app, 'worker', worker, 'state', 'live')
elseif s[1] ~= app then
  return 'fenced'
elseif s[2] == 'ended' then
  return 'ended'
elseif s[3] ~= worker then
  return 'fenced'
end
local known, tracks = tonumber(s[4] or 0), tonumber(s[5] or 0)
if carries and rev > tracks then
  redis.call('DEL', KEYS[2])
  for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
  redis.call('HSET', KEYS[1], 'tracksRev', ARGV[3])
end
if rev > known and (carries or rev == known + 1) then redis.call('HSET', KEYS[1], 'rev', ARGV[3]) end
redis.call('PEXPIRE', KEYS[1], lease)
redis.call('PEXPIRE', KEYS[2], lease)
return 'ok'
