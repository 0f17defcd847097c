//! The digest of a plan: what an approval names. It covers what is going to be done and to which tables, and leaves out what
//! changes by itself all the time (row counts, estimates, AUTO_INCREMENT values) and what only describes (warnings).

use serde_json::json;

use super::model::Plan;
use crate::api::digest::of_json;

/// `sha256:` and 64 hexadecimal digits.
///
/// # Errors
/// When the plan has no JSON form, which none of its types allows.
pub fn plan_digest(plan: &Plan) -> Result<String, serde_json::Error> {
    let operations = (plan.operations.iter())
        .map(|operation| {
            let mut covered = json!({
                "id": operation.id,
                "section": serde_json::to_value(operation.section)?,
                "action": serde_json::to_value(&operation.action)?,
                "forward": operation.forward,
                "inverse": operation.inverse,
                "lock": serde_json::to_value(operation.lock)?,
            });
            // Absent where the inverse is of the same kind, as in plans of before there was one of another.
            if let Some(cost) = &operation.inverse_cost {
                covered["inverseLock"] = serde_json::to_value(cost.lock)?;
            }
            Ok(covered)
        })
        .collect::<Result<Vec<_>, serde_json::Error>>()?;
    of_json(&json!({
        "format": plan.format,
        "contentDigest": plan.content_digest,
        "schema": plan.schema,
        "tables": plan.tables,
        "operations": operations,
        "adopted": plan.adopted,
        "stages": plan.stages,
        "acknowledgedTriggers": plan.acknowledged_triggers,
    }))
}
