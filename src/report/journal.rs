//! What the journal has of the operations: times, tries and locks, which the status does not keep.

use std::collections::BTreeSet;

use super::model::{Fact, OperationLine, Taken};
use super::words::fact;
use crate::cli::bars::counted;
use crate::cli::standing::elapsed;
use crate::mysql::JournalEntry;
use crate::plan::model::LockClass;
use crate::plan::render::grouped;

/// The operations with what the journal has of them. What is in it and not in the plan, the work itself found to be needed.
pub(super) fn joined(mut lines: Vec<OperationLine>, entries: &[JournalEntry]) -> Vec<OperationLine> {
    let planned: BTreeSet<String> = lines.iter().map(|line| line.id.clone()).collect();
    for line in &mut lines {
        if let Some(entry) = entries.iter().find(|entry| entry.operation == line.id) {
            line.done = entry.stands;
            line.journal = Some(taken(entry));
        }
    }
    let more = entries.iter().filter(|entry| !planned.contains(&entry.operation)).map(|entry| OperationLine {
        id: entry.operation.clone(),
        part: "Found to be needed while at work".to_owned(),
        stage: None,
        what: entry.operation.clone(),
        lock: LockClass::Batched,
        rows: 0,
        estimated: 0,
        rehearsed: None,
        done: entry.stands,
        journal: Some(taken(entry)),
    });
    lines.extend(more);
    lines
}

fn taken(entry: &JournalEntry) -> Taken {
    let report = entry.report.as_ref();
    let rows = report.and_then(|report| report.rows.as_ref());
    Taken {
        began: entry.intended_at,
        milliseconds: report
            .map(|report| report.milliseconds)
            .or_else(|| entry.completed_at.map(|ended| elapsed(entry.intended_at, ended))),
        tries: report.map_or(0, |report| report.tries),
        locks: report.map_or(0, |report| report.longest_try_milliseconds),
        quarantined: rows.map_or(0, |rows| rows.rows_removed + rows.values_changed),
        undone: entry.undone_at,
    }
}

/// How long locks were waited for or held, and how often a statement had to be tried again.
pub(super) fn pressure(entries: &[JournalEntry]) -> Vec<Fact> {
    let reports = || entries.iter().filter_map(|entry| entry.report.as_ref());
    let again = reports().filter(|report| report.tries > 1).count();
    let tries: u64 = reports().map(|report| u64::from(report.tries)).sum();
    let worst = reports().max_by_key(|report| report.longest_try_milliseconds);
    let mut facts = vec![fact(
        "Schema changes that were tried again",
        format!("{}; statements were sent {} in all", counted(again as u64, "operation"), counted(tries, "time")),
    )];
    if let Some(worst) = worst {
        let text = format!("{} ms in {}", grouped(worst.longest_try_milliseconds), worst.operation);
        facts.insert(0, fact("Longest time that a statement waited for or held locks", text));
    }
    facts
}
