-- Reads todos at random. Arguments: seconds, how many todos there are.
dofile("run.lua")

function init(args)
   local todos = tonumber(args[2])
   start(args, function()
      return wrk.format("GET", wrk.path .. "/" .. math.random(todos))
   end)
end
