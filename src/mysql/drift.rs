//! Drift: where the catalogue is not what plan and journal say. Looked for before a migration begins and before each of its
//! sections, so that nothing is built on a table that somebody else has changed.

use std::collections::BTreeMap;

use super::error::{Cause, Error};
use super::goal::{Goal, Standing};
use super::journal::{OperationState, Record};
use super::observe::observe;
use super::report::OperationReport;
use super::session::Work;
use super::undo;
use crate::plan::catalogue::{Catalogue, ForeignKey};
use crate::plan::model::{Action, Section};
use crate::plan::{Operation, Plan};

/// Differences that a message names.
const NAMED: usize = 10;

/// Reads the catalogue of all tables of the plan and compares it.
///
/// # Errors
/// [`Cause::Drifted`] naming what differs, or what the server answers.
pub(crate) async fn check(work: &Work<'_>) -> Result<(), Error> {
    let records = work.journal.read_operations().await?;
    let tables = undo::planned_tables(work)?;
    let found = differences(work.plan, &records, &observe(work, &tables).await?);
    match told(&found) {
        None => Ok(()),
        Some(message) => Err(Error::new(Cause::Drifted, message)),
    }
}

/// What the catalogue shows otherwise than a plan that nothing was done of; `None`: nothing.
#[must_use]
pub fn since_planned(plan: &Plan, catalogue: &Catalogue) -> Option<String> {
    told(&differences(plan, &[], catalogue))
}

/// Whether the journal knows everything as done that comes before a section, of which its owner says that it was done. A replica that became
/// the server without the last transactions shows neither, and is in itself no contradiction.
///
/// # Errors
/// [`Cause::Drifted`] naming what is missing.
pub(crate) fn check_done_before(plan: &Plan, records: &[Record], section: Section) -> Result<(), Error> {
    let is_done = |operation: &&Operation| {
        records.iter().any(|record| record.operation.id == operation.id && record.state == OperationState::Done)
    };
    let earlier = plan.operations.iter().filter(|operation| operation.section < section);
    let missing: Vec<&str> =
        earlier.filter(|operation| !is_done(operation)).map(|operation| operation.id.as_str()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named = missing.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = missing.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Error::new(
        Cause::Drifted,
        format!(
            "the journal of this server does not know as done what was done before: {named}{more}. So it is after a failover to a replica that had not received it: nothing is built on it. Take back what is here, and begin the migration again"
        ),
    ))
}

fn told(found: &[String]) -> Option<String> {
    if found.is_empty() {
        return None;
    }
    let named = found.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = found.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Some(format!("the catalogue is not what plan and journal say: {named}{more}"))
}

/// Everything that differs. Each operation must have happened, or not, as the journal says; beyond what operations did, each table
/// must be as the plan saw it, and as the journal saw it before each of its changes.
fn differences(plan: &Plan, records: &[Record], catalogue: &Catalogue) -> Vec<String> {
    let record = |operation: &Operation| records.iter().find(|record| record.operation.id == operation.id);
    let mut found = Vec::new();
    for operation in &plan.operations {
        let Some(goal) = Goal::of(&operation.action) else { continue };
        let state = record(operation).map(|record| record.state);
        let difference = match (goal.standing(catalogue), state) {
            (Standing::Contradicted(what), _) => what,
            (Standing::NotReached, Some(OperationState::Done)) => "it was done, and somebody took it back".to_owned(),
            (Standing::Reached, None | Some(OperationState::Undone)) => {
                "it is there already, and this migration did not make it".to_owned()
            }
            _ => continue,
        };
        found.push(format!("{} on {}: {difference}", operation.id, operation.action.table()));
    }
    for (name, planned) in &plan.tables {
        let Some(now) = catalogue.tables.get(name).map(|table| table.create_statement.as_str()) else {
            found.push(format!("table {name} does not exist any more"));
            continue;
        };
        let here = |operation: &&Operation| operation.action.table().to_string() == *name;
        let own = |operations: &mut dyn Iterator<Item = &Operation>| -> Vec<String> {
            operations.flat_map(|operation| own_lines(&operation.action)).collect()
        };
        // What is compared, since which place in the journal, and which operations may have changed it.
        let (since, image) = match after_own_statement(records, name) {
            Seen::Never => (None, planned.clone()),
            Seen::After(sequence, image) => (Some(sequence), image),
            // What it makes of the table is known once it is done.
            Seen::Unfinished => continue,
        };
        let later = |record: &&Record| since.is_none_or(|since| record.sequence > since);
        let mut differs = match since {
            None => changed_lines(&image, now, &own(&mut plan.operations.iter().filter(here))),
            Some(_) => {
                let operations = records.iter().filter(later).map(|record| &record.operation);
                changed_lines(&image, now, &own(&mut operations.filter(here)))
            }
        };
        for seen in records.iter().filter(later).filter(|record| here(&&record.operation)) {
            let Some(before) = &seen.before_image else { continue };
            let later = records
                .iter()
                .filter(|record| record.sequence >= seen.sequence || record.state != OperationState::Done);
            differs.extend(changed_lines(before, now, &own(&mut later.map(|record| &record.operation).filter(here))));
        }
        let changed = records.iter().filter(later).filter(|record| here(&&record.operation));
        differs.extend(changed_columns(now, changed));
        differs.sort();
        differs.dedup();
        found.extend(differs.into_iter().map(|difference| format!("table {name}: {difference}")));
    }
    found
}

/// How the last statement of the user's own left a table: which lines it changes, nobody but itself can tell.
enum Seen {
    Never,
    /// Its place in the journal, and the definition after it.
    After(u64, String),
    Unfinished,
}

fn after_own_statement(records: &[Record], table: &str) -> Seen {
    let own = |record: &&Record| {
        matches!(&record.operation.action, Action::Sql(step) if step.table.to_string() == table)
            && record.state != OperationState::Undone
    };
    let Some(last) = records.iter().filter(own).max_by_key(|record| record.sequence) else { return Seen::Never };
    let report = last.report.as_deref().and_then(|report| serde_json::from_str::<OperationReport>(report).ok());
    match report.and_then(|report| report.after_image) {
        Some(image) => Seen::After(last.sequence, image),
        None => Seen::Unfinished,
    }
}

/// Columns that the migration added or changed and that are otherwise now.
fn changed_columns<'a>(now: &str, records: impl Iterator<Item = &'a Record>) -> Vec<String> {
    let mut found = Vec::new();
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    for record in records.filter(|record| is_column(&record.operation.action)) {
        let Some(start) = own_lines(&record.operation.action).pop() else { continue };
        let report = record.report.as_deref().map(serde_json::from_str::<OperationReport>);
        match (record.state, report) {
            (OperationState::Undone, _) => {}
            (OperationState::Done, Some(Ok(OperationReport { made: Some(line), .. }))) => {
                drop(made.insert(start, line))
            }
            (OperationState::Done, Some(Err(error))) => {
                found.push(format!("the journal's report of {} cannot be read: {error}", record.operation.id));
            }
            // On the way to something else, or not known.
            (OperationState::Intended | OperationState::Done, _) => drop(made.remove(&start)),
        }
    }
    for (start, made) in made {
        // Whether it is there at all the operation's goal says.
        if let Some(line) = line_of(&start, now).filter(|line| *line != made) {
            found.push(format!("it was made as: {made}; it is: {line}"));
        }
    }
    found
}

/// Whether an operation adds or changes a column.
pub(crate) fn is_column(action: &Action) -> bool {
    matches!(action, Action::AddColumn { .. } | Action::ModifyColumn { .. })
}

/// The line of a column that an operation added or changed, in a definition of its table.
pub(crate) fn made(action: &Action, definition: &str) -> Option<String> {
    own_lines(action)
        .pop()
        .filter(|_| is_column(action))
        .and_then(|start| line_of(&start, definition))
        .map(str::to_owned)
}

fn line_of<'a>(start: &str, definition: &'a str) -> Option<&'a str> {
    definition.lines().map(bare).find(|line| line.starts_with(start))
}

/// A line of a definition; the comma belongs to the list, not to the line.
pub(crate) fn bare(line: &str) -> &str {
    line.trim().trim_end_matches(',')
}

/// How servers write a key's name in definitions and messages: MariaDB 10.11 does not double the backticks in it.
pub(crate) fn shown_key_names(key: &ForeignKey) -> [String; 2] {
    [key.name.quoted(), format!("`{}`", key.name)]
}

/// How the line of SHOW CREATE TABLE begins that an operation adds or changes: one way, or that of each kind of server.
fn own_lines(action: &Action) -> Vec<String> {
    match action {
        Action::RemoveOrphans { .. } | Action::RemoveDuplicates { .. } | Action::Backfill { .. } | Action::Sql(_) => {
            vec![]
        }
        Action::AddColumn { column, .. } => vec![format!("{} ", column.quoted())],
        Action::ModifyColumn { before, .. } => vec![format!("{} ", before.name.quoted())],
        Action::AddIndex { index, .. } => vec![format!("KEY {} ", index.quoted())],
        Action::AddUnique { index, .. } => vec![format!("UNIQUE KEY {} ", index.quoted())],
        Action::AddForeignKey { key, .. } => shown_key_names(key).map(|name| format!("CONSTRAINT {name} ")).to_vec(),
    }
}

/// The lines that only one of two definitions has, apart from those of operations.
fn changed_lines(before: &str, now: &str, own: &[String]) -> Vec<String> {
    let lines = |definition: &'_ str| -> Vec<String> {
        let lines = definition.lines().map(bare);
        lines.filter(|line| !own.iter().any(|start| line.starts_with(start.as_str()))).map(str::to_owned).collect()
    };
    let (before, now) = (lines(before), lines(now));
    let missing = before.iter().filter(|line| !now.contains(line)).map(|line| format!("missing is: {line}"));
    let new = now.iter().filter(|line| !before.contains(line)).map(|line| format!("new is: {line}"));
    missing.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str =
        "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `a` int DEFAULT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB";

    #[test]
    fn only_lines_of_operations_may_change() {
        let now = "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `a` int DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  KEY `by_a` (`a`)\n) ENGINE=InnoDB";
        assert_eq!(changed_lines(BEFORE, now, &["KEY `by_a` ".to_owned()]), Vec::<String>::new());
        assert_eq!(changed_lines(BEFORE, now, &[]), ["new is: KEY `by_a` (`a`)"]);
        assert_eq!(changed_lines(now, BEFORE, &["KEY `by` ".to_owned()]), ["missing is: KEY `by_a` (`a`)"]);
        let wider = BEFORE.replace("`a` int", "`a` bigint");
        assert_eq!(changed_lines(BEFORE, &wider, &["`a` ".to_owned()]), Vec::<String>::new());
        assert_eq!(changed_lines(BEFORE, &wider, &["`id` ".to_owned()]).len(), 2);
        assert_eq!(changed_lines(BEFORE, &format!("{BEFORE} COMMENT='x'"), &[]).len(), 2);
    }
}
