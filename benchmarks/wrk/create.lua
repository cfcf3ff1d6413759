-- Creates todos. Arguments: seconds.
dofile("run.lua")

function init(args)
   local request = wrk.format(
      "POST", nil, {["Content-Type"] = "application/json", ["Host"] = wrk.headers["Host"]},
      '{"description": "Buy groceries for the weekend"}'
   )
   start(args, function() return request end)
end
