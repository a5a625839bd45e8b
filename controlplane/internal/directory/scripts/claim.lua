-- Who owns a session that never negotiated: the first claim decides, and a
-- later one moves it only from the worker that it names.
-- KEYS: session. ARGV: app, worker, instead of ('' for nobody), lease (ms).
local s = redis.call('HMGET', KEYS[1], 'app', 'state', 'worker', 'rev', 'thirdParty')
if s[1] ~= ARGV[1] then return {'missing'} end
if s[2] == 'ended' then return {'ended'} end
local owner, rev = s[3] or '', s[4] or '0'
if rev == '0' and owner == ARGV[3] then
  owner = ARGV[2]
  redis.call('HSET', KEYS[1], 'worker', owner)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return {'ok', owner, rev, s[5] or '0'}
