//! What a person reads before deciding about a gate: the plan in short, what is dangerous in it, and what the decision lets happen.

use kube::ResourceExt as _;

use super::bars::{counted, wrapped};
use super::standing::{self, before};
use super::terminal::Style;
use crate::api::SchemaMigration;
use crate::api::approval::{ApprovalDecision, ExternalSnapshot};
use crate::api::gates::GatedPhase;
use crate::api::status::{GateStatus, SchemaMigrationStatus};
use crate::plan::Plan;
use crate::plan::model::LockClass;
use crate::plan::render::{duration, grouped};

/// Longest line of running text.
const WIDTH: usize = 100;
/// Before the text of each line.
const INDENT: usize = 12;
/// Operations of a rehearsal that are shown.
const SLOWEST: usize = 3;
/// Lines of the validation report that are shown.
const LISTED: usize = 20;

/// A decision that is about to be made.
#[derive(Clone, Copy)]
pub struct Decision<'a> {
    /// The resource.
    pub migration: &'a SchemaMigration,
    /// Its status.
    pub status: &'a SchemaMigrationStatus,
    /// Its plan.
    pub plan: &'a Plan,
    /// The gate.
    pub gate: &'a GateStatus,
    /// Approve or deny.
    pub decision: ApprovalDecision,
    /// Rows that cleanup may take.
    pub max_rows: Option<i64>,
    /// The backup that was made elsewhere.
    pub snapshot: Option<&'a ExternalSnapshot>,
    /// Who decides.
    pub user: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
}

/// The page.
#[must_use]
pub fn page(decision: Decision<'_>, style: Style) -> String {
    let Decision { migration, status, plan, gate, .. } = decision;
    let verb = match decision.decision {
        ApprovalDecision::Approve => "approve",
        ApprovalDecision::Deny => "deny",
    };
    let mut page = vec![
        style.strong(&format!(
            "You are about to {verb} the step {} of {} in {}.",
            before(gate),
            migration.name_any(),
            migration.namespace().unwrap_or_default()
        )),
        String::new(),
    ];
    let mut add = |name: &str, text: &str| page.extend(named(name, text));
    add("Plan", &plan.digest);
    let database = &migration.spec.database;
    add("Database", &format!("schema {} on {}, MySQL {}", database.name, database.host, plan.server.version_text));
    if let Some(known) = &status.plan {
        let counts = &known.counts;
        let some = |number: i64, noun: &str| counted(u64::try_from(number).unwrap_or(0), noun);
        let adopted =
            if counts.adopted > 0 { format!(" ({} more there already)", counts.adopted) } else { String::new() };
        add(
            "Does",
            &format!(
                "{} on {}: {}{adopted}, {}, {}, {}; about {} from the first change to the end",
                some(counts.operations, "operation"),
                some(counts.tables, "table"),
                some(counts.foreign_keys, "foreign key"),
                some(counts.unique_constraints, "unique constraint"),
                some(counts.indexes, "index"),
                some(counts.type_fixes, "type fix"),
                duration(u64::try_from(known.estimates.duration_seconds).unwrap_or(0) * 1_000)
            ),
        );
    }
    if let Some(rehearsal) = standing::rehearsal(status) {
        add(
            "Rehearsed",
            &format!("on the restored copy, without the application's traffic: {}", standing::rehearsed(rehearsal)),
        );
        for slow in rehearsal.slowest.iter().take(SLOWEST) {
            let took = duration(u64::try_from(slow.milliseconds).unwrap_or(0));
            add("", &format!("- {} took {took}", slow.described()));
        }
    }
    let copies: Vec<_> = plan.operations.iter().filter(|operation| operation.lock == LockClass::Copy).collect();
    if copies.is_empty() {
        add("Copies", "none: the application works on meanwhile");
    }
    for (number, operation) in copies.iter().enumerate() {
        let text = format!(
            "{}, about {} ({} rows): its writers wait for the whole of it, and wait again if it is taken back",
            operation.action.table(),
            duration(operation.estimate.milliseconds),
            grouped(operation.estimate.rows)
        );
        let lines = named(if number == 0 { "COPIES" } else { "" }, &text);
        page.extend(lines.iter().map(|line| style.bad(line)));
    }
    let mut add = |name: &str, text: &str| page.extend(named(name, text));
    if let Some(worst) = status.plan.as_ref().and_then(|plan| plan.estimates.worst_cascade.as_ref()) {
        add("Deletions", &format!("one row that is deleted takes along at worst: {worst}"));
    }
    let warnings = status.plan.iter().flat_map(|plan| &plan.warnings);
    for (number, warning) in warnings.enumerate() {
        add(if number == 0 { "Warnings" } else { "" }, &format!("- {warning}"));
    }
    if gate.before.phase == Some(GatedPhase::CleanUp) {
        page.extend(cleanup(status, decision));
    }
    if gate.before.phase == Some(GatedPhase::RestoreBackup) {
        page.extend(lost(status, decision).iter().map(|line| style.bad(line)));
    }
    let mut add = |name: &str, text: &str| page.extend(named(name, text));
    if decision.decision == ApprovalDecision::Deny {
        let what = if gate.before.phase == Some(GatedPhase::RestoreBackup) {
            "the rollback ends as RollbackFailed; every change can still be taken back instead"
        } else if status.started_at.is_some() {
            "changes are taken back, or stay, as spec.rollback.onFailure says"
        } else {
            "the migration ends; nothing was changed"
        };
        add("Then", what);
    }
    if let Some(snapshot) = decision.snapshot {
        let text = format!("{} of {}; nothing of it is looked at: you answer for it", snapshot.id, snapshot.taken_at.0);
        add("Backup", &text);
    }
    add("As", decision.user);
    if let Some(reason) = decision.reason {
        add("Reason", reason);
    }
    page.join("\n") + "\n"
}

/// What putting the backup back loses.
fn lost(status: &SchemaMigrationStatus, decision: Decision<'_>) -> Vec<String> {
    let put_back = status.rollback.as_ref().and_then(|rollback| rollback.put_back.as_ref());
    let Some(loss) = put_back.and_then(|put_back| put_back.loss.as_ref()) else { return Vec::new() };
    let rows = |count: i64| grouped(u64::try_from(count).unwrap_or(0));
    let taken = status.backup.as_ref().and_then(|backup| backup.taken_at.as_ref());
    let since = taken.map_or_else(|| "the backup".to_owned(), |taken| taken.0.to_string());
    let mut text =
        format!("everything that was written since {since}: up to {} rows in {} tables", rows(loss.rows), loss.tables);
    if let Some(why) = &loss.uncounted {
        text.push_str(&format!("; nobody counted what was written ({why}), so these are all that are there"));
    }
    if let (ApprovalDecision::Approve, Some(most)) = (decision.decision, decision.max_rows) {
        text.push_str(&format!("; it is put back only while these are no more than {}", rows(most)));
    }
    let mut lines = named("Lost", &text);
    for table in loss.most.iter().take(LISTED) {
        let shown = |count: Option<i64>| count.map_or_else(|| "?".to_owned(), rows);
        let text = format!(
            "- {}: {} rows then, {} now; {} inserted, {} changed, {} deleted",
            table.table,
            shown(table.rows_then),
            shown(table.rows_now),
            shown(table.inserted),
            shown(table.changed),
            shown(table.deleted)
        );
        lines.extend(named("", &text));
    }
    lines
}

/// What cleanup may take.
fn cleanup(status: &SchemaMigrationStatus, decision: Decision<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut there: Vec<_> = status.validation.iter().filter(|line| line.is_of_a_rule() && line.count > 0).collect();
    there.sort_by_key(|line| std::cmp::Reverse(line.count));
    let found: i64 = there.iter().map(|line| line.count).sum();
    let found = format!("{} rows that break a rule were found", grouped(u64::try_from(found).unwrap_or(0)));
    let text = match (decision.decision, decision.max_rows) {
        (ApprovalDecision::Deny, _) => found,
        (ApprovalDecision::Approve, Some(most)) => {
            let most = grouped(u64::try_from(most).unwrap_or(0));
            format!("{found}; cleanup may take {most} to quarantine, and stops where it needs more")
        }
        (ApprovalDecision::Approve, None) => format!("{found}; cleanup may take none, and stops where it finds one"),
    };
    lines.extend(named("Cleanup", &text));
    for line in there.iter().take(LISTED) {
        let count = grouped(u64::try_from(line.count).unwrap_or(0));
        lines.push(format!("  {:INDENT$}{count:>9}  {}", "", line.issue_type));
    }
    if there.len() > LISTED {
        lines.push(format!("  {:INDENT$}{:>9}  and {} lines more", "", "", there.len() - LISTED));
    }
    lines
}

fn named(name: &str, text: &str) -> Vec<String> {
    let broken = wrapped(text, WIDTH).into_iter().enumerate();
    broken.map(|(at, line)| format!("  {:<INDENT$}{line}", if at == 0 { name } else { "" })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::example::{assert_golden, plan, rehearsed, waiting};

    #[test]
    fn pages_read_as_the_golden_ones() {
        let (migration, plan) = (waiting(), plan());
        let status = standing::status(&migration);
        let decision = Decision {
            migration: &migration,
            status: &status,
            plan: &plan,
            gate: &status.gates[0],
            decision: ApprovalDecision::Approve,
            max_rows: Some(1_237),
            snapshot: None,
            user: "alice@example.com",
            reason: Some("counted the orphans with the data team"),
        };
        assert_golden("approve-cleanup.txt", &page(decision, Style::PLAIN));
        let copy = Decision {
            gate: &status.gates[1],
            decision: ApprovalDecision::Deny,
            max_rows: None,
            snapshot: None,
            reason: None,
            ..decision
        };
        assert_golden("deny-copy.txt", &page(copy, Style::PLAIN));
        let migration = rehearsed();
        let status = standing::status(&migration);
        let after = Decision { migration: &migration, status: &status, ..decision };
        assert_golden("approve-rehearsed.txt", &page(after, Style::PLAIN));
    }
}
