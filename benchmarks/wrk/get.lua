-- Reads random todos. Arguments: seconds, number of todos.
dofile("run.lua")

function init(args)
   local todos = tonumber(args[2])
   start(args, function()
      return wrk.format("GET", wrk.path .. "/" .. math.random(todos))
   end)
end
