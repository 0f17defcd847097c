-- How Argo CD judges a SchemaMigration: by its conditions, and never by a phase. Suspended keeps a sync running, Degraded fails it.
local health = {status = "Progressing", message = "the operator has not seen it yet"}
local status = obj.status
if status == nil or status.observedGeneration == nil or status.observedGeneration < 0 then
  return health
end
if obj.metadata.generation ~= nil and status.observedGeneration ~= obj.metadata.generation then
  health.message = "the operator has not seen the latest version of it yet"
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is_true(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end

if is_true("Stalled") then
  -- Failed, or taken back: a person decides how it goes on.
  return {status = "Degraded", message = conditions["Stalled"].message}
end
if is_true("Ready") then
  return {status = "Healthy", message = conditions["Ready"].message}
end

local current = conditions["Reconciling"] or conditions["Ready"]
if current == nil then
  return health
end
health.message = current.message
-- What waits for a person or for an hour, and not for work to be done.
local waits = {
  ApprovalPending = true, ApprovalForAnotherPlan = true, MoreRowsThanApproved = true, ApprovalPolicyMissing = true,
  EvidencePending = true, EvidenceRefused = true, OutsideWindow = true, Suspended = true,
}
-- One that is made elsewhere; of its own the operator makes another by itself.
waits.BackupTooOld = obj.spec.backup.type == "External"
if waits[current.reason] then
  health.status = "Suspended"
end
return health
