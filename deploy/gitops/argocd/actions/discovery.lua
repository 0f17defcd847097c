-- Which actions Argo CD offers for a SchemaMigration as it stands. The operator answers each in status.steering, and refuses what has no sense.
local conditions = {}
if obj.status ~= nil then
  for _, condition in ipairs(obj.status.conditions or {}) do
    conditions[condition.type] = condition
  end
end

local finished = conditions["Finished"] ~= nil and conditions["Finished"].status == "True"
local reason = finished and conditions["Finished"].reason or ""
local started = obj.status ~= nil and obj.status.startedAt ~= nil
local going_back = obj.status ~= nil and obj.status.rollback ~= nil and not finished
local suspended = obj.spec.suspend == true

local actions = {}
actions["suspend"] = {["disabled"] = finished or suspended}
actions["resume"] = {["disabled"] = not suspended}
actions["abort"] = {["disabled"] = finished or going_back}
actions["retry"] = {["disabled"] = reason == "Complete" or reason == "PlanOnly" or reason == "ApprovalDenied"}
actions["rollback"] = {
  ["disabled"] = going_back or not started or (finished and reason ~= "Held" and reason ~= "RollbackFailed"),
}
return actions
