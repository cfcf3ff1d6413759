-- Completes todos at random, or takes it back. Arguments: seconds, how many todos there are.
dofile("run.lua")

local bodies = {[true] = '{"completed": true}', [false] = '{"completed": false}'}
-- An ORM sends nothing to the database for a change to what is so already.
local completed = {}

function init(args)
   local todos = tonumber(args[2])
   wrk.headers["Content-Type"] = "application/json"
   start(args, function()
      local id = math.random(todos)
      completed[id] = not completed[id]
      return wrk.format("PATCH", wrk.path .. "/" .. id, nil, bodies[completed[id]])
   end)
end
