//! A stored plan, read back: what was approved is its content, so it must be whole, of a known format, and of the digest that was recorded.

use super::digest::plan_digest;
use super::model::{PLAN_FORMAT, Plan};

/// The name under which a plan lies in its ConfigMaps, and so the name of its file where they are mounted.
pub const KEY: &str = "plan.json";

/// Why a stored plan cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It has a format that this version does not know.
    #[error("{0}")]
    UnknownFormat(String),
    /// It is not the one that was recorded, or cannot be read.
    #[error("{0}")]
    Changed(String),
}

/// Reads a plan and checks that it is the one of that digest.
///
/// # Errors
/// Why it cannot be used.
pub fn parse(text: &str, digest: &str) -> Result<Plan, Unusable> {
    let unreadable = |error: serde_json::Error| Unusable::Changed(format!("the stored plan cannot be read: {error}"));
    let value: serde_json::Value = serde_json::from_str(text).map_err(unreadable)?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(PLAN_FORMAT)) {
        let found = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
        return Err(Unusable::UnknownFormat(format!(
            "the stored plan has the format {found}; this version of the operator knows {PLAN_FORMAT}: install the version that made the plan"
        )));
    }
    let plan: Plan = serde_json::from_value(value).map_err(unreadable)?;
    // The digest that a plan bears could have been copied: what was approved is its content.
    let computed = plan_digest(&plan).map_err(unreadable)?;
    if plan.digest != digest || computed != digest {
        return Err(Unusable::Changed(format!(
            "the stored plan says {} and its content has the digest {computed}, where {digest} was planned: it was changed, or made by \
             another version",
            plan.digest
        )));
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_plan_of_another_format_is_named_as_such() {
        let error = parse("{\"format\": 99}", "sha256:0").unwrap_err();
        assert!(matches!(&error, Unusable::UnknownFormat(message) if message.contains("99")), "{error}");
        assert!(matches!(parse("{\"format\": ", "sha256:0"), Err(Unusable::Changed(_))));
    }
}
