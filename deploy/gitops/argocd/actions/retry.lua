-- Tries again what failed: a new value of the annotation is a new request.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["holdfast.dev/retry-at"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
