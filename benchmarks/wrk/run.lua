-- Shared by all scripts. A run sends requests for `seconds`, and ends when each has its response:
-- on its own, wrk aborts requests in flight, although the server has spent CPU time on them. At the
-- end, it prints its counts as one line of JSON.
--
-- Counting requires a single thread, which suffices: wrk can send far more requests than the
-- servers can handle.

local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } time_point;
int clock_gettime(int clock, time_point *now);
int getpid(void);
int kill(int pid, int signal);
]]
local MONOTONIC, SIGINT = 1, 2
local NEVER = 1e9

local now_point = ffi.new("time_point")

local function now()
   ffi.C.clock_gettime(MONOTONIC, now_point)
   return tonumber(now_point.seconds) + tonumber(now_point.nanoseconds) / 1e9
end

-- Globals, so that done() can read them from the thread.
sent, received, bad, lasted = 0, 0, 0, 0

local seconds, send, begin

-- Starts the run: `send_next` returns the next request.
function start(args, send_next)
   seconds, send = tonumber(args[1]), send_next
   -- The same sequence of todos for every server.
   math.randomseed(1)
end

-- Called by wrk before each request: the delay in milliseconds.
function delay()
   begin = begin or now()
   if now() < begin + seconds then return 0 end
   -- On SIGINT, wrk ends before its --duration is over.
   if received == sent then ffi.C.kill(ffi.C.getpid(), SIGINT) end
   return NEVER
end

function request()
   -- Before the run, wrk requests one that it does not send.
   if begin then sent = sent + 1 end
   return send()
end

function response(status)
   received = received + 1
   lasted = now() - begin
   if status < 200 or status > 299 then bad = bad + 1 end
end

local the_thread

function setup(thread)
   the_thread = thread
end

function done(summary, latency)
   local format = '{"sent": %d, "received": %d, "bad": %d, "not_connected": %d, '
      .. '"seconds": %.6f, "p99": %.6f}\n'
   local get = function(name) return the_thread:get(name) end
   io.write(string.format(
      format, get("sent"), get("received"), get("bad"), summary.errors.connect,
      get("lasted"), latency:percentile(99) / 1e6
   ))
end
