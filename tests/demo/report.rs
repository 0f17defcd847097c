//! What the demo prints besides the phases: the validation before and after, and the application's traffic. Pure text.

use std::collections::BTreeMap;

use serde_json::Value;

/// The line that a person reads while the traffic goes on.
pub(crate) fn traffic_line(reading: &Value) -> Option<String> {
    Some(format!(
        "the application: {} statements, {} errors; writes p99 {:.0} ms, longest {:.0} ms",
        reading["statements"].as_u64()?,
        reading["write_errors"].as_u64()?,
        reading["write_p99_ms"].as_f64()?,
        reading["write_block_max_ms"].as_f64()?,
    ))
}

/// The traffic's last report as a table of what matters.
pub(crate) fn traffic_table(report: &Value) -> String {
    let text = |name: &str| match &report[name] {
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), trimmed),
        Value::Null => "-".to_owned(),
        other => other.to_string().trim_matches('"').to_owned(),
    };
    [
        format!("statements            {} in {} s", text("statements"), text("elapsed_s")),
        format!("write errors          {}", text("write_errors")),
        format!(
            "provoked violations   {} refused, {} accepted",
            text("refused_violations"),
            text("accepted_violations")
        ),
        format!(
            "write latency, ms     p50 {}, p99 {}, longest {} (on {})",
            text("write_p50_ms"),
            text("write_p99_ms"),
            text("write_block_max_ms"),
            text("write_block_max_table")
        ),
        format!("  on the copied table longest {}", text("copy_write_block_max_ms")),
        format!(
            "read latency, ms      p50 {}, p99 {}, longest {}",
            text("read_p50_ms"),
            text("read_p99_ms"),
            text("read_max_ms")
        ),
        format!("committed rows        {} must be there, {} are missing", text("expected_rows"), text("lost_rows")),
    ]
    .join("\n")
}

fn trimmed(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// The validation report of the status, `issue_type | count`; zeros are summed up.
pub(crate) fn before(validation: &Value) -> String {
    let found = counts(validation);
    let mut lines: Vec<String> =
        found.iter().filter(|(_, count)| **count > 0).map(|(issue, count)| format!("{count:>8}  {issue}")).collect();
    lines.push(format!(
        "{:>8}  of {} counts are zero",
        found.values().filter(|count| **count == 0).count(),
        found.len()
    ));
    lines.join("\n")
}

/// The orphans that were found before, beside what plain SQL counts now.
pub(crate) fn before_and_after(validation: &Value, now: &BTreeMap<String, u64>) -> String {
    let mut lines = vec![format!("{:>8}  {:>8}  orphans of", "before", "after")];
    let before = counts(validation);
    let mut clean = 0;
    for (relation, after) in now {
        match before.get(&format!("orphans: {relation}")).copied() {
            Some(0) if *after == 0 => clean += 1,
            Some(count) => lines.push(format!("{count:>8}  {after:>8}  {relation}")),
            None => lines.push(format!("{:>8}  {after:>8}  {relation}", "-")),
        }
    }
    lines.push(format!("{:>8}  {:>8}  each of the {clean} others", 0, 0));
    lines.join("\n")
}

/// What a Job of the application said, in short: of a test run each test once, else all of it.
pub(crate) fn said_by_job(log: &str) -> String {
    let told: Vec<&str> = log.lines().filter(|line| line.starts_with(['✔', '✖'])).collect();
    let Some(end) = told.iter().position(|line| line.ends_with("failing tests:")) else {
        return if told.is_empty() { log.trim().to_owned() } else { told.join("\n") };
    };
    told[..end].join("\n")
}

/// Orphans and duplicates together: what a person compares `maxRows` with.
pub(crate) fn rows_to_clean(validation: &Value) -> u64 {
    let cleaned = |issue: &str| issue.starts_with("orphans: ") || issue.starts_with("duplicates: ");
    counts(validation).iter().filter(|(issue, _)| cleaned(issue)).map(|(_, count)| count).sum()
}

fn counts(validation: &Value) -> BTreeMap<String, u64> {
    validation
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|finding| Some((finding["issueType"].as_str()?.to_owned(), finding["count"].as_u64()?)))
        .collect()
}
