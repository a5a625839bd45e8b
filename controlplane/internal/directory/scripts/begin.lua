-- The start of every call: app check, state, rate limit and owner at once.
-- KEYS: session, its token bucket. ARGV: app, calls per second, burst.
local s = redis.call('HMGET', KEYS[1], 'app', 'state', 'worker', 'rev', 'thirdParty')
if s[1] ~= ARGV[1] then return {'missing'} end -- another App's session does not exist
if s[2] == 'ended' then return {'ended'} end

-- Thousandths of a token, so that all numbers stay integers: one millisecond
-- earns 'rate' of them. A bucket that expired is full again.
local rate, burst = tonumber(ARGV[2]), tonumber(ARGV[3]) * 1000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local bucket = redis.call('HMGET', KEYS[2], 'tokens', 'at')
local tokens, at = tonumber(bucket[1] or burst), tonumber(bucket[2] or now)
tokens = math.min(burst, tokens + math.max(0, now - at) * rate)
if tokens < 1000 then return {'limited'} end
redis.call('HSET', KEYS[2], 'tokens', string.format('%d', tokens - 1000), 'at', string.format('%d', now))
redis.call('PEXPIRE', KEYS[2], math.ceil(burst / rate))

return {'ok', s[3] or '', s[4] or '0', s[5] or '0'}
