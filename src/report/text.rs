//! The report as text, for a terminal, a ticket or a pipe.

use super::model::{Fact, Report};
use super::words::{moment, took};
use crate::cli::bars::wrapped;
use crate::cli::standing::elapsed;
use crate::plan::render::grouped;

/// Longest line of running text.
const WIDTH: usize = 100;
/// Before the text of a line with a name in front.
const INDENT: usize = 26;
/// Lines of a list that are written; the HTML and the JSON have all.
const LISTED: usize = 20;

/// The report.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut page = Vec::new();
    let heading = &report.heading;
    page.push(format!("{} in {}: {}", heading.name, heading.namespace, heading.word));
    page.extend(wrapped(&heading.outcome, WIDTH));
    if let Some(who) = &heading.waits_for {
        page.push(format!("Waits for {who}."));
    }
    page.extend(heading.next.iter().map(|command| format!("  {command}")));
    page.extend(report.missing.iter().flat_map(|missing| wrapped(&format!("Not here: {missing}"), WIDTH)));
    let warnings: Vec<String> = report.warnings.iter().map(|warning| format!("- {warning}")).collect();
    let mut part = |name: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            page.extend([String::new(), name.to_owned()]);
            page.extend(lines.into_iter().map(|line| format!("  {line}")));
        }
    };
    part("Figures", facts(&heading.figures));
    part("About", facts(&heading.about));
    part("Rollback and requests", facts(&report.steering));
    part("Warnings of the plan", first(warnings, "warnings"));
    part("Schema", schema(report));
    part("What the deletion of one row takes along at worst", first(cascades(report), "paths"));
    part("Timeline (UTC)", timeline(report));
    let found = report.validation.iter().filter(|line| line.before > 0).map(|line| {
        let after = line.after.map_or("not proven yet".to_owned(), grouped);
        format!("{:>13}  now {after:<15} {}", grouped(line.before), line.what)
    });
    part("Validation", first(found.collect(), "checks"));
    part("In quarantine", facts(&report.quarantine));
    part("Locks and what the application felt", facts(&report.pressure));
    part("Gates", gates(report));
    part("Decisions", decisions(report));
    part("Backup", facts(&report.backup));
    part("Rehearsal", facts(&report.rehearsal));
    part("Tests and Jobs", facts(&report.tests));
    part("Evidence", facts(&report.evidence));
    part("Events", first(events(report), "events"));
    // What a cluster holds must not steer a terminal.
    let harmless = |c: char| if c != '\n' && c.is_control() { ' ' } else { c };
    (page.join("\n") + "\n").chars().map(harmless).collect()
}

fn facts(facts: &[Fact]) -> Vec<String> {
    facts.iter().flat_map(|fact| named(&fact.name, &fact.value)).collect()
}

/// A line with a name in front, broken where it is long.
fn named(name: &str, text: &str) -> Vec<String> {
    let long = name.chars().count() + 2 > INDENT;
    let mut lines = if long { vec![name.to_owned()] } else { Vec::new() };
    let broken = wrapped(text, WIDTH - INDENT).into_iter().enumerate();
    lines.extend(broken.map(|(at, line)| format!("{:<INDENT$}{line}", if at == 0 && !long { name } else { "" })));
    lines
}

/// The first lines, and how many there are more.
fn first(mut lines: Vec<String>, of: &str) -> Vec<String> {
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    if more > 0 {
        lines.push(format!("and {more} more {of}: --html and -o json have them all"));
    }
    lines
}

fn schema(report: &Report) -> Vec<String> {
    let schema = &report.schema;
    let of = |stage: Option<usize>| schema.keys.iter().filter(|key| key.stage == stage).count();
    let mut lines = vec![format!("{:>5} keys there before", of(None))];
    for (place, stage) in schema.stages.iter().enumerate() {
        lines.push(format!("{:>5} keys of stage {stage}", of(Some(place))));
    }
    lines
}

fn cascades(report: &Report) -> Vec<String> {
    let line = |cascade: &super::model::Cascade| {
        let what = if cascade.sets_null { "set to NULL" } else { "deleted" };
        let rows = cascade.rows.map_or("not measured".to_owned(), |rows| format!("{} rows", grouped(rows)));
        format!("{rows:>16} {what:<12} {}", cascade.tables.join(" -> "))
    };
    report.cascades.iter().map(line).collect()
}

fn timeline(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in &report.timeline.entries {
        let name = if entry.is_stage { format!("  {}", entry.name) } else { entry.name.clone() };
        let spent = took(elapsed(entry.started, entry.until));
        lines.push(format!("{} {name:<20} {}  {spent}", entry.state.mark(), moment(entry.started)));
        lines.extend(
            entry
                .waits
                .iter()
                .map(|wait| format!("    waited {} for {}", took(elapsed(wait.from, wait.to)), wait.what)),
        );
    }
    lines
}

fn gates(report: &Report) -> Vec<String> {
    let line = |gate: &super::model::GateLine| {
        let state = if gate.open { "open" } else { "closed" };
        named(&format!("{} {state}", gate.before), &format!("{}: {}", gate.reason, gate.message))
    };
    report.gates.iter().flat_map(line).collect()
}

fn decisions(report: &Report) -> Vec<String> {
    let line = |approval: &super::model::ApprovalLine| {
        let at = approval.at.map(moment).unwrap_or_default();
        let why = approval.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let counted = if approval.counted { "" } else { " (decides nothing now)" };
        named(&format!("{} {}", approval.decision, approval.before), &format!("{} at {at}{counted}{why}", approval.who))
    };
    report.approvals.iter().flat_map(line).collect()
}

fn events(report: &Report) -> Vec<String> {
    let line = |event: &super::model::EventLine| {
        format!("{}  {:<18} {}", event.at.map(moment).unwrap_or_default(), event.reason, event.note)
    };
    report.events.iter().map(line).collect()
}
