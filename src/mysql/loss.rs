//! What putting the backup back would lose: the rows that were written to each table since, by the server's own counters where they can
//! be trusted, else as many as the table holds. What cannot be counted is never taken for nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::connection::{Connection, sql};
use super::error::Error;
use super::row_counters::{self, Baseline, Counters};
use crate::plan::Identifier;

/// Rows that were written to a table since the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// Rows that were inserted.
    pub inserted: u64,
    /// Rows that were changed.
    pub updated: u64,
    /// Rows that were deleted, those left out that TRUNCATE or a key's cascade deleted.
    pub deleted: u64,
}

/// What one table would lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableLoss {
    /// The table.
    pub table: String,
    /// Its rows just before the backup; `None`: it was not there.
    pub then: Option<u64>,
    /// Its rows now; `None`: it is not there any more.
    pub now: Option<u64>,
    /// What was written since; `None`: nobody counted it.
    pub writes: Option<Writes>,
}

impl TableLoss {
    /// The rows that may be lost.
    #[must_use]
    pub fn at_most(&self) -> u64 {
        let (then, now) = (self.then.unwrap_or(0), self.now.unwrap_or(0));
        match self.writes {
            // Neither TRUNCATE nor a cascade is counted: what is missing was deleted all the same.
            Some(writes) => {
                let missing = then.saturating_add(writes.inserted).saturating_sub(now);
                writes.inserted.saturating_add(writes.updated).saturating_add(writes.deleted.max(missing))
            }
            None => then.max(now),
        }
    }

    /// Whether anything may be lost.
    #[must_use]
    pub fn is_concerned(&self) -> bool {
        self.at_most() > 0 || self.then.is_none() || self.now.is_none()
    }
}

/// What would be lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Loss {
    /// Every table that was there before the backup or is there now, by name.
    pub tables: Vec<TableLoss>,
    /// Why nothing at all was counted since the backup; `None`: the tables tell.
    pub uncounted: Option<String>,
}

impl Loss {
    /// The rows that may be lost.
    #[must_use]
    pub fn at_most(&self) -> u64 {
        self.tables.iter().map(TableLoss::at_most).fold(0, u64::saturating_add)
    }
}

/// Counts what would be lost. `baseline` is what was counted just before the backup; or why that is not known.
///
/// # Errors
/// What the server answers.
pub async fn count(
    connection: &mut Connection,
    schema: &Identifier,
    baseline: Result<&Baseline, String>,
) -> Result<Loss, Error> {
    let mut now = BTreeMap::new();
    for table in row_counters::tables(connection, schema).await? {
        let statement = format!("SELECT COUNT(*) FROM {}.{}", schema.quoted(), table.quoted());
        let rows: i64 = sqlx::query(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?;
        now.insert(table.as_str().to_owned(), u64::try_from(rows).unwrap_or(0));
    }
    let counters = row_counters::counters(connection, schema).await?;
    let uptime = row_counters::uptime(connection).await?;
    let (baseline, uncounted) = match baseline {
        Err(why) => (None, Some(why)),
        Ok(known) if known.server_uuid != connection.server_uuid => {
            (Some(known), Some("another server answers than the one that was backed up".to_owned()))
        }
        Ok(known) if uptime < known.uptime => {
            (Some(known), Some("the server was started again since, and its counters began anew".to_owned()))
        }
        Ok(known) => (Some(known), None),
    };
    let since = baseline.filter(|_| uncounted.is_none()).map_or(0, |known| uptime.saturating_sub(known.uptime));
    let made_anew = made_anew(connection, schema, since).await?;
    let then = baseline.map(|known| &known.tables);
    let names = now.keys().chain(then.into_iter().flat_map(BTreeMap::keys)).collect::<std::collections::BTreeSet<_>>();
    let tables = names.into_iter().map(|name| {
        let before = then.and_then(|then| then.get(name));
        let trusted = uncounted.is_none() && !made_anew.contains(name);
        let counted = counters.get(name).filter(|_| trusted);
        let writes = before.zip(counted).and_then(|(before, after)| {
            let start = Counters { inserted: before.inserted, deleted: before.deleted, updated: before.updated? };
            written(start, *after)
        });
        TableLoss { table: name.clone(), then: before.map(|before| before.rows), now: now.get(name).copied(), writes }
    });
    Ok(Loss { tables: tables.collect(), uncounted })
}

/// What was written between two readings of the counters; `None`: they began anew in between.
fn written(before: Counters, after: Counters) -> Option<Writes> {
    Some(Writes {
        inserted: after.inserted.checked_sub(before.inserted)?,
        updated: after.updated.checked_sub(before.updated)?,
        deleted: after.deleted.checked_sub(before.deleted)?,
    })
}

/// Tables that were made or rebuilt in the last so many seconds: their counters may have begun anew.
async fn made_anew(connection: &mut Connection, schema: &Identifier, seconds: u64) -> Result<Vec<String>, Error> {
    let rows = sqlx::query(
        "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = ? AND (CREATE_TIME IS NULL OR CREATE_TIME >= NOW() - INTERVAL ? SECOND)",
    )
    .bind(schema.as_str())
    .bind(seconds.saturating_add(1))
    .fetch_all(connection.raw())
    .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(then: Option<u64>, now: Option<u64>, writes: Option<(u64, u64, u64)>) -> TableLoss {
        let writes = writes.map(|(inserted, updated, deleted)| Writes { inserted, updated, deleted });
        TableLoss { table: "t".to_owned(), then, now, writes }
    }

    #[test]
    fn what_nobody_counted_is_as_much_as_the_table_holds() {
        assert_eq!(loss(Some(10), Some(12), Some((3, 4, 1))).at_most(), 8);
        assert_eq!(loss(Some(10), Some(10), Some((0, 0, 0))).at_most(), 0);
        assert!(!loss(Some(10), Some(10), Some((0, 0, 0))).is_concerned());
        assert_eq!(loss(Some(10), Some(12), None).at_most(), 12);
        assert_eq!(loss(Some(10), None, None).at_most(), 10);
        assert_eq!(loss(Some(10), Some(2), Some((0, 0, 0))).at_most(), 8, "a cascade deleted them");
        assert_eq!(loss(Some(10), Some(10), Some((10, 0, 0))).at_most(), 20, "TRUNCATE did, and others came");
        assert!(loss(None, Some(0), None).is_concerned(), "an empty table that was made since goes too");
    }

    #[test]
    fn counters_that_went_back_count_nothing() {
        let at = |inserted, updated| Counters { inserted, updated, deleted: 0 };
        assert_eq!(written(at(5, 5), at(6, 5)), Some(Writes { inserted: 1, updated: 0, deleted: 0 }));
        assert_eq!(written(at(5, 5), at(6, 4)), None);
    }
}
