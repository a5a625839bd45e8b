-- A worker's proof that it still holds a session.
-- KEYS: session, tracks. ARGV: app, worker, rev, lease (ms).
local s = redis.call('HMGET', KEYS[1], 'app', 'state', 'worker', 'rev')
if not s[1] then return 'announce' end
if s[1] ~= ARGV[1] or s[2] == 'ended' then return 'fenced' end
if s[3] == '' then return 'announce' end
if s[3] ~= ARGV[2] then return 'fenced' end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if tonumber(ARGV[3]) > tonumber(s[4] or 0) then return 'announce' end
return 'ok'
