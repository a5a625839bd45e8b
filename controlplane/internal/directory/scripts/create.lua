-- A new session. KEYS: session. ARGV: app, worker or '', third party '0'|'1',
-- region, lease (ms).
local now = redis.call('TIME')
redis.call('HSET', KEYS[1],
  'app', ARGV[1], 'worker', ARGV[2], 'thirdParty', ARGV[3], 'region', ARGV[4],
  'rev', 0, 'state', 'live', 'created', now[1])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 'ok'
