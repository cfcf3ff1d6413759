-- Toggles `completed` of random todos. Arguments: seconds, number of todos.
dofile("run.lua")

local bodies = {[true] = '{"completed": true}', [false] = '{"completed": false}'}
-- Toggled, because an ORM sends no UPDATE if the value does not change.
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
