-- Stops the migration at its next safe point. Where Git sets spec.suspend, Argo CD puts it back: see README.md.
obj.spec.suspend = true
return obj
