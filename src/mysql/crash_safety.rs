//! What a copy of the server's volume, taken at one moment while it works, may not bring back: such a copy is what a loss of power leaves, and
//! the server recovers from it only what InnoDB keeps, and only if all of it lies on that volume.

use sqlx::Row as _;

use super::connection::Connection;
use super::error::Error;
use crate::plan::Identifier;

/// Tables that a warning names.
const MOST_NAMED: usize = 20;

/// Warnings, for the plan.
///
/// # Errors
/// When the server cannot be asked.
pub async fn warnings(connection: &mut Connection, schema: &Identifier) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    found.extend(other_engines(connection, schema).await?);
    let (data, places, doublewrite) = settings(connection).await?;
    let elsewhere: Vec<&str> = places.iter().map(String::as_str).filter(|place| lies_outside(&data, place)).collect();
    if !elsewhere.is_empty() {
        found.push(format!(
            "the server keeps files of InnoDB outside of its data directory {data} ({}): the snapshot of one volume is of use only if they are \
             on it too",
            elsewhere.join(", ")
        ));
    }
    if is_off(&doublewrite) {
        found.push(format!(
            "innodb_doublewrite is {doublewrite}: pages that were being written when the snapshot is taken may come back torn"
        ));
    }
    Ok(found)
}

/// Tables whose rows are not InnoDB's.
async fn other_engines(connection: &mut Connection, schema: &Identifier) -> Result<Option<String>, Error> {
    let rows = sqlx::query(
        "SELECT CAST(TABLE_NAME AS CHAR), CAST(ENGINE AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? \
         AND TABLE_TYPE = 'BASE TABLE' AND ENGINE IS NOT NULL AND ENGINE <> 'InnoDB' ORDER BY TABLE_NAME",
    )
    .bind(schema.as_str())
    .fetch_all(connection.raw())
    .await?;
    let mut named = Vec::new();
    for row in rows.iter().take(MOST_NAMED) {
        named.push(format!("{} ({})", row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?));
    }
    if rows.len() > MOST_NAMED {
        named.push(format!("and {} more", rows.len() - MOST_NAMED));
    }
    Ok((!named.is_empty()).then(|| {
        format!(
            "a snapshot of the volume holds rows of InnoDB's tables only as they were: these of {schema} may come back damaged: {}",
            named.join(", ")
        )
    }))
}

/// The data directory, where InnoDB keeps its files, and whether pages are written twice.
async fn settings(connection: &mut Connection) -> Result<(String, Vec<String>, String), Error> {
    let row = sqlx::query(
        "SELECT CAST(@@datadir AS CHAR), CAST(COALESCE(@@innodb_data_home_dir, '') AS CHAR), CAST(@@innodb_log_group_home_dir AS CHAR), \
         CAST(COALESCE(@@innodb_undo_directory, '') AS CHAR), CAST(@@innodb_doublewrite AS CHAR)",
    )
    .fetch_one(connection.raw())
    .await?;
    let text = |index: usize| row.try_get::<String, _>(index);
    Ok((text(0)?, vec![text(1)?, text(2)?, text(3)?], text(4)?))
}

/// Whether a folder is neither the data directory nor in it. One that does not begin at the root lies in it.
fn lies_outside(data: &str, place: &str) -> bool {
    let within = |place: &str| {
        place == data.trim_end_matches('/') || place.starts_with(&format!("{}/", data.trim_end_matches('/')))
    };
    place.starts_with('/') && !within(place)
}

/// Later versions have words for it.
fn is_off(doublewrite: &str) -> bool {
    ["0", "OFF", "DETECT_ONLY"].iter().any(|off| doublewrite.eq_ignore_ascii_case(off))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_its_own_is_noticed_and_one_in_the_data_directory_is_not() {
        for inside in ["", "./", "logs", "/var/lib/mysql", "/var/lib/mysql/", "/var/lib/mysql/logs"] {
            assert!(!lies_outside("/var/lib/mysql/", inside), "{inside}");
        }
        for outside in ["/", "/logs/", "/var/lib/mysql-logs/", "/var/lib/"] {
            assert!(lies_outside("/var/lib/mysql/", outside), "{outside}");
        }
    }

    #[test]
    fn pages_that_are_not_written_twice_are_noticed_in_every_spelling() {
        assert!(is_off("0") && is_off("OFF") && is_off("DETECT_ONLY"));
        assert!(!is_off("1") && !is_off("ON") && !is_off("DETECT_AND_RECOVER"));
    }
}
