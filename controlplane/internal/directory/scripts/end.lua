-- The owner says that it no longer holds the session: a tombstone for one lease
-- answers later calls at once and fences late writers.
-- KEYS: session, tracks. ARGV: app, worker, lease (ms).
local s = redis.call('HMGET', KEYS[1], 'app', 'worker')
if s[1] ~= ARGV[1] or s[2] ~= ARGV[2] then return 'kept' end
redis.call('HSET', KEYS[1], 'state', 'ended')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[2])
return 'ok'
