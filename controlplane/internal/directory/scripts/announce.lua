-- A session as its worker knows it, whole: restores what the directory lost.
-- KEYS: session, tracks. ARGV: app, worker, rev, lease (ms), then name, JSON, ...
local s = redis.call('HMGET', KEYS[1], 'app', 'state', 'worker', 'rev')
if s[1] then
  if s[1] ~= ARGV[1] or s[2] == 'ended' then return 'fenced' end
  if s[3] ~= '' and s[3] ~= ARGV[2] then return 'fenced' end
end
if not s[1] or tonumber(ARGV[3]) >= tonumber(s[4] or 0) then
  redis.call('HSET', KEYS[1],
    'app', ARGV[1], 'worker', ARGV[2], 'rev', ARGV[3], 'tracksRev', ARGV[3], 'state', 'live')
  redis.call('DEL', KEYS[2])
  for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 'ok'
