-- Requests the same list repeatedly. Arguments: seconds.
dofile("run.lua")

function init(args)
   local request = wrk.format("GET")
   start(args, function() return request end)
end
