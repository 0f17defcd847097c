//! What putting the backup back would lose, for the status and for people. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::conditions::shortened;
use crate::api::status::{BackupStatus, LossStatus, TableLossStatus};
use crate::mysql::loss::{Loss, TableLoss};

use super::observed::signed;

/// Tables that the status names.
const LISTED: usize = 20;
/// Tables that a message names.
const NAMED: usize = 5;
/// Longest reason, in bytes.
const MAX_REASON: usize = 256;

/// What was counted, for the status.
#[must_use]
pub(super) fn status(loss: &Loss, now: Timestamp) -> LossStatus {
    let mut concerned: Vec<&TableLoss> = loss.tables.iter().filter(|table| table.is_concerned()).collect();
    concerned.sort_by_key(|table| std::cmp::Reverse(table.at_most()));
    LossStatus {
        counted_at: Time(now),
        rows: signed(loss.at_most()),
        uncounted: loss.uncounted.clone().map(|why| shortened(why, MAX_REASON)),
        tables: signed(concerned.len()),
        most: concerned.iter().take(LISTED).map(|table| of_table(table)).collect(),
    }
}

fn of_table(loss: &TableLoss) -> TableLossStatus {
    TableLossStatus {
        table: loss.table.clone(),
        rows_then: loss.then.map(signed),
        rows_now: loss.now.map(signed),
        inserted: loss.writes.map(|writes| signed(writes.inserted)),
        changed: loss.writes.map(|writes| signed(writes.updated)),
        deleted: loss.writes.map(|writes| signed(writes.deleted)),
    }
}

/// What would be lost, for the person who is asked.
#[must_use]
pub(super) fn told(loss: &LossStatus, backup: Option<&BackupStatus>, schema: &str) -> String {
    let of = match backup {
        Some(BackupStatus { taken_at: Some(taken), location: Some(location), attempt, .. }) => {
            format!("the backup number {attempt} of {} ({location})", taken.0)
        }
        _ => "the backup, whose time is not known,".to_owned(),
    };
    let counted = match &loss.uncounted {
        Some(why) => format!("nobody counted what was written since, because {why}; at most {} rows", loss.rows),
        None => format!("by the server's counters at most {} rows", loss.rows),
    };
    let mut text = format!(
        "{of} takes the place of every table of the schema {schema}, and whatever was written to any of them since is lost, this \
         migration's own changes included: {counted} in {} tables (counted at {})",
        loss.tables, loss.counted_at.0
    );
    let tables: Vec<String> = loss.most.iter().take(NAMED).map(table_told).collect();
    if !tables.is_empty() {
        let more = loss.tables.saturating_sub(signed(tables.len()));
        let more = if more > 0 { format!("; and {more} more, see status.rollback.putBack") } else { String::new() };
        text.push_str(&format!(": {}{more}", tables.join("; ")));
    }
    text
}

fn table_told(loss: &TableLossStatus) -> String {
    let rows = match (loss.rows_then, loss.rows_now) {
        (Some(then), Some(now)) => format!("{then} rows then, {now} now"),
        (None, Some(now)) => format!("{now} rows now; how many there were is not known, or it was not there"),
        (Some(then), None) => format!("{then} rows then, not there any more"),
        (None, None) => "not there".to_owned(),
    };
    match (loss.inserted, loss.changed, loss.deleted) {
        (Some(inserted), Some(changed), Some(deleted)) => {
            format!("{} ({rows}; {inserted} inserted, {changed} changed, {deleted} deleted since)", loss.table)
        }
        _ => format!("{} ({rows}; what was changed since is not counted)", loss.table),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mysql::loss::Writes;

    fn table(name: &str, now: u64, writes: Option<u64>) -> TableLoss {
        let writes = writes.map(|inserted| Writes { inserted, updated: 2, deleted: 0 });
        TableLoss { table: name.to_owned(), then: Some(10), now: Some(now), writes }
    }

    #[test]
    fn what_is_lost_is_told_with_the_backup_and_what_nobody_counted_is_said() {
        let loss = Loss { tables: vec![table("few", 11, Some(1)), table("unknown", 40, None)], uncounted: None };
        let status = status(&loss, Timestamp::UNIX_EPOCH);
        assert_eq!((status.rows, status.tables, status.most[0].table.as_str()), (43, 2, "unknown"));
        let backup = BackupStatus {
            attempt: 3,
            taken_at: Some(Time(Timestamp::UNIX_EPOCH)),
            location: Some("persistentvolumeclaim/backups/u-3.sql".to_owned()),
            ..BackupStatus::default()
        };
        let text = told(&status, Some(&backup), "shop");
        for part in [
            "number 3 of 1970-01-01T00:00:00Z (persistentvolumeclaim/backups/u-3.sql)",
            "every table of the schema shop",
            "at most 43 rows in 2 tables",
            "unknown (10 rows then, 40 now; what was changed since is not counted)",
            "few (10 rows then, 11 now; 1 inserted, 2 changed, 0 deleted since)",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn what_could_not_be_counted_at_all_is_said_and_never_called_nothing() {
        let unknown = TableLoss { table: "t".to_owned(), then: None, now: Some(7), writes: None };
        let loss = Loss { tables: vec![unknown], uncounted: Some("the backup Job is gone".to_owned()) };
        let text = told(&status(&loss, Timestamp::UNIX_EPOCH), None, "shop");
        assert!(
            text.contains("nobody counted what was written since, because the backup Job is gone; at most 7 rows"),
            "{text}"
        );
    }
}
