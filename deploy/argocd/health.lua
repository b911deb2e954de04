-- Health of an SFTJob or OSFTJob for Argo CD, from the conditions that the operator writes.
local status, held = obj.status or {}, {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "True" then held[condition.type] = condition end
  if condition.type == "Valid" and condition.status == "False" then held.Invalid = condition end
end

local function health(state, condition, otherwise)
  local message = condition and condition.message or ""
  return { status = state, message = message ~= "" and message or otherwise }
end

if status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", nil, "the operator has not looked at this generation yet")
end
if held.Succeeded then return health("Healthy", held.Succeeded, "Succeeded") end
if held.Failed then return health("Degraded", held.Failed, "Failed") end
if held.Stalled then return health("Degraded", held.Stalled, "Stalled") end
if held.Invalid then return health("Degraded", held.Invalid, "the spec is invalid") end
if held.Suspended then return health("Suspended", nil, "runPolicy.suspend is true") end
return health("Progressing", held.Reconciling, status.phase or "Pending")
