//! Whether a dump can be the database's content at the moment it was taken. The application goes on writing, so the row counts
//! need not be equal; the server's own counters of inserted and deleted rows say how far they may be apart.

use crate::backup::manifest::digest_of_names;
use crate::mysql::row_counters::{Afterwards, Baseline};

/// Compares a dump with the database: `names` is the digest of the names of its tables, `rows` those of each in their order.
///
/// # Errors
/// What does not agree, or why it cannot be told.
pub fn compare(baseline: &Baseline, afterwards: &Afterwards, names: &str, rows: &[u64]) -> Result<(), String> {
    if baseline.server_uuid != afterwards.server_uuid || afterwards.uptime < baseline.uptime {
        return Err("the server was restarted or replaced during the backup, so its row counters begin anew".to_owned());
    }
    if digest_of_names(baseline.tables.keys().map(String::as_str)) != names || baseline.tables.len() != rows.len() {
        return Err(format!(
            "the dump holds other tables than the schema ({} and {}): was a table made, dropped or renamed during the backup?",
            rows.len(),
            baseline.tables.len()
        ));
    }
    let emptied = emptied_by_cascade(baseline, afterwards);
    for ((name, before), &rows) in baseline.tables.iter().zip(rows) {
        let Some(&(inserted, deleted)) = afterwards.tables.get(name) else {
            return Err(format!(
                "performance_schema no longer counts the table {name}, so its rows cannot be compared"
            ));
        };
        let (Some(inserted), Some(deleted)) =
            (inserted.checked_sub(before.inserted), deleted.checked_sub(before.deleted))
        else {
            return Err(format!("the counters of the table {name} were reset during the backup (TRUNCATE does that)"));
        };
        let least = if emptied.contains(&name.as_str()) { 0 } else { before.rows.saturating_sub(deleted) };
        let most = before.rows.saturating_add(inserted);
        if rows < least || rows > most {
            return Err(format!(
                "the dump holds {rows} rows of the table {name}, but between {least} and {most} were in it"
            ));
        }
    }
    Ok(())
}

/// Tables that lost rows, or may have, through keys that delete children with their parents.
fn emptied_by_cascade<'a>(baseline: &Baseline, afterwards: &'a Afterwards) -> Vec<&'a str> {
    let lost = |table: &str| {
        let before = baseline.tables.get(table).map_or(0, |count| count.deleted);
        afterwards.tables.get(table).is_none_or(|&(_, deleted)| deleted != before)
    };
    let mut emptied: Vec<&str> = Vec::new();
    loop {
        let more = afterwards.cascades.iter().find(|(child, parent)| {
            !emptied.contains(&child.as_str()) && (lost(parent) || emptied.contains(&parent.as_str()))
        });
        match more {
            Some((child, _)) => emptied.push(child),
            None => return emptied,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::mysql::row_counters::TableCount;

    fn baseline() -> Baseline {
        let count = |rows| TableCount { rows, inserted: 100, deleted: 10, updated: None };
        Baseline {
            server_uuid: "a".to_owned(),
            uptime: 5,
            tables: [("bookmarks".to_owned(), count(50)), ("users".to_owned(), count(7))].into(),
        }
    }

    fn afterwards(bookmarks: (u64, u64), users: (u64, u64)) -> Afterwards {
        Afterwards {
            server_uuid: "a".to_owned(),
            uptime: 9,
            tables: [("bookmarks".to_owned(), bookmarks), ("users".to_owned(), users)].into(),
            cascades: Vec::new(),
        }
    }

    fn compared(afterwards: &Afterwards, bookmarks: u64, users: u64) -> Result<(), String> {
        compare(&baseline(), afterwards, &digest_of_names(["bookmarks", "users"].into_iter()), &[bookmarks, users])
    }

    const STILL: (u64, u64) = (100, 10);

    #[test]
    fn a_quiet_database_must_agree_exactly() {
        assert_eq!(compared(&afterwards(STILL, STILL), 50, 7), Ok(()));
        assert!(compared(&afterwards(STILL, STILL), 49, 7).unwrap_err().contains("bookmarks"));
        assert!(compared(&afterwards(STILL, STILL), 50, 8).unwrap_err().contains("users"));
    }

    #[test]
    fn writes_during_the_backup_widen_the_bounds_by_as_much() {
        let busy = afterwards((103, 12), STILL);
        for rows in 48..=53 {
            assert_eq!(compared(&busy, rows, 7), Ok(()));
        }
        assert!(compared(&busy, 47, 7).is_err());
        assert!(compared(&busy, 54, 7).is_err());
    }

    #[test]
    fn deletions_that_cascade_are_allowed_for_only_where_a_parent_lost_rows() {
        let mut busy = afterwards(STILL, (100, 11));
        busy.cascades = vec![("bookmarks".to_owned(), "users".to_owned())];
        assert_eq!(compared(&busy, 3, 6), Ok(()));
        let mut quiet = afterwards(STILL, STILL);
        quiet.cascades.clone_from(&busy.cascades);
        assert!(compared(&quiet, 3, 7).is_err());
    }

    #[test]
    fn what_cannot_be_compared_is_not_proven() {
        let names = |names: [&str; 2]| digest_of_names(names.into_iter());
        let other = compare(&baseline(), &afterwards(STILL, STILL), &names(["others", "users"]), &[50, 7]);
        assert!(other.unwrap_err().contains("other tables"));
        let fewer = compare(&baseline(), &afterwards(STILL, STILL), &names(["bookmarks", "users"]), &[50]);
        assert!(fewer.unwrap_err().contains("other tables"), "a table without a count is not passed over");
        let mut restarted = afterwards(STILL, STILL);
        restarted.uptime = 1;
        assert!(compared(&restarted, 50, 7).unwrap_err().contains("restarted"));
        assert!(compared(&afterwards((0, 0), STILL), 50, 7).unwrap_err().contains("reset"));
        let mut gone = afterwards(STILL, STILL);
        gone.tables.remove("users");
        assert!(compared(&gone, 50, 7).unwrap_err().contains("no longer counts"));
    }
}
