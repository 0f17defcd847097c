//! What the server takes along when a row goes: computed from the foreign keys that exist, and taken to quarantine in the same
//! transaction, before the server does it silently.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row;

use super::connection::{Connection, sql};
use super::error::{Cause, Error};
use super::quarantine::{Kind, Quarantine, Reason, Tag};
use super::row_shape::{End, Shape, every, live_keys, pairs};
use super::session::Work;
use crate::plan::catalogue::{ForeignKey, ReferentialAction};
use crate::plan::identifier::{Identifier, TableName};

/// The server's own limit on cascades (error 3008).
const MAX_DEPTH: u32 = 15;

/// Every table that a deletion can reach through the keys that exist, and those keys.
#[derive(Debug)]
pub(crate) struct Cascades {
    tables: BTreeMap<TableName, Quarantine>,
    keys: Vec<ForeignKey>,
}

impl Cascades {
    /// Follows the keys that exist from `root`. Prepares quarantine tables, and so ends a transaction that is open on the connection.
    pub(crate) async fn read(work: &Work<'_>, connection: &mut Connection, root: &Quarantine) -> Result<Self, Error> {
        let mut tables = BTreeMap::from([(root.shape.name.clone(), root.clone())]);
        let mut keys = Vec::new();
        let mut open: Vec<TableName> = vec![root.shape.name.clone()];
        let mut seen: BTreeSet<TableName> = BTreeSet::new();
        while let Some(table) = open.pop() {
            if !seen.insert(table.clone()) {
                continue;
            }
            for key in live_keys(connection, &table, End::Parent).await? {
                if !tables.contains_key(&key.child) {
                    tables.insert(key.child.clone(), Quarantine::of_table(work, connection, &key.child).await?);
                }
                if key.on_delete == ReferentialAction::Cascade {
                    open.push(key.child.clone());
                }
                keys.push(key);
            }
        }
        Ok(Self { tables, keys })
    }

    /// Tables whose rows may go.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.keys()
    }

    /// The keys that exist between them.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &ForeignKey> {
        self.keys.iter()
    }

    /// Whether a deletion from this table can reach the table again.
    pub(crate) fn reaches_itself(&self, table: &TableName) -> bool {
        self.keys.iter().any(|key| key.child == *table && key.on_delete == ReferentialAction::Cascade)
    }

    /// The quarantine of a table that a key leads to.
    pub(crate) fn quarantine(&self, table: &TableName) -> Result<&Quarantine, Error> {
        self.tables.get(table).ok_or_else(|| {
            Error::new(Cause::Drifted, format!("a foreign key of table {table} appeared while rows were being removed"))
        })
    }

    /// Takes to quarantine what the deletion of the batch's rows is going to take along. Returns the numbers of rows and of rows
    /// whose values will be nulled.
    pub(crate) async fn take_along(
        &self,
        work: &Work<'_>,
        connection: &mut Connection,
        operation: &str,
        batch: u64,
    ) -> Result<(u64, u64), Error> {
        let mut rows = 0;
        for depth in 1.. {
            let mut found = 0;
            for key in self.keys.iter().filter(|key| key.on_delete == ReferentialAction::Cascade) {
                found += self.take_children(work, connection, key, (operation, batch), Some(depth)).await?;
            }
            if found == 0 {
                break;
            }
            if depth > MAX_DEPTH {
                return Err(Error::new(
                    Cause::InvalidSpec,
                    format!(
                        "existing foreign keys cascade deeper than {MAX_DEPTH} tables, which the server refuses: remove those rows by hand"
                    ),
                ));
            }
            rows += found;
        }
        let mut values = 0;
        for key in &self.keys {
            match key.on_delete {
                ReferentialAction::Cascade => {}
                ReferentialAction::SetNull => {
                    values += self.take_children(work, connection, key, (operation, batch), None).await?;
                }
                ReferentialAction::Restrict | ReferentialAction::NoAction => {
                    self.refuse_children(connection, key, batch).await?
                }
            }
        }
        Ok((rows, values))
    }

    /// `FROM` and `WHERE` of the children `t` of the batch's rows `p`, those that go themselves aside.
    fn children(&self, key: &ForeignKey, parents: &str, locking: &str) -> Result<String, Error> {
        let (child, parent) = (self.quarantine(&key.child)?, self.quarantine(&key.parent)?);
        Ok(format!(
            "FROM {} p STRAIGHT_JOIN {} t ON {} WHERE p.holdfast_batch = ? AND p.holdfast_kind = 'Row'{parents} \
             AND NOT EXISTS (SELECT 1 FROM {} x WHERE x.holdfast_batch = ? AND x.holdfast_kind = 'Row' AND {}){locking}",
            parent.quoted(),
            key.child.quoted(),
            pairs("t", &key.columns, "p", &key.parent_columns),
            child.quoted(),
            child.same_row("x", "t")?,
        ))
    }

    /// Takes the children of the rows one cascade above `depth`, or without a depth the values that a SET NULL key will null.
    async fn take_children(
        &self,
        work: &Work<'_>,
        connection: &mut Connection,
        key: &ForeignKey,
        (operation, batch): (&str, u64),
        depth: Option<u32>,
    ) -> Result<u64, Error> {
        let tag = Tag {
            operation,
            batch,
            kind: if depth.is_some() { Kind::Row } else { Kind::Value },
            reason: Reason::Key { name: key.name.clone(), repointed: false },
            depth: depth.unwrap_or(MAX_DEPTH + 1),
            columns: if depth.is_some() { &[] } else { &key.columns },
        };
        let child = self.quarantine(&key.child)?;
        let (parents, values) = match depth {
            Some(depth) => (" AND p.holdfast_depth = ?", vec![batch, u64::from(depth - 1), batch]),
            None => ("", vec![batch, batch]),
        };
        let locking = format!(" {}", connection.dialect.lock_to_write("t"));
        let source = self.children(key, parents, &locking)?;
        child.take(work, connection, &tag, ("t", "NULL"), &source, &values).await
    }

    async fn refuse_children(&self, connection: &mut Connection, key: &ForeignKey, batch: u64) -> Result<(), Error> {
        let statement = format!("SELECT COUNT(*) {}", self.children(key, "", "")?);
        let row = sqlx::query(sql(statement)).bind(batch).bind(batch).fetch_one(connection.raw()).await?;
        let children: i64 = row.try_get(0)?;
        if children > 0 {
            return Err(Error::new(
                Cause::InvalidSpec,
                format!(
                    "rows of {} cannot be removed: {children} rows of {} refer to them through the existing key {}, which restricts: \
                     clean those up first, or choose another policy",
                    key.parent, key.child, key.name
                ),
            ));
        }
        Ok(())
    }

    /// Proves, after the deletion, that the server did to the batch's rows what was computed.
    pub(crate) async fn assert_gone(&self, connection: &mut Connection, batch: u64) -> Result<(), Error> {
        for (table, quarantine) in &self.tables {
            let left = quarantine.count_in_table(connection, batch, Kind::Row, "TRUE").await?;
            if left > 0 {
                return Err(Error::new(
                    Cause::VerificationFailed,
                    format!(
                        "{left} rows of {table} went to quarantine but are still in the table: the batch was rolled back"
                    ),
                ));
            }
        }
        for key in self.keys.iter().filter(|key| key.on_delete == ReferentialAction::SetNull) {
            let quarantine = self.quarantine(&key.child)?;
            let condition = format!(
                "e.holdfast_reason = '{}' AND e.holdfast_subject = '{}' AND NOT ({})",
                Reason::Key { name: key.name.clone(), repointed: false }.text(),
                escape(&key.name),
                every("t", &key.columns, "IS NULL")
            );
            let left = quarantine.count_in_table(connection, batch, Kind::Value, &condition).await?;
            if left > 0 {
                return Err(Error::new(
                    Cause::VerificationFailed,
                    format!(
                        "key {} of {} left {left} values that it should have nulled: the batch was rolled back",
                        key.name, key.child
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// A catalogue name inside a string literal.
fn escape(name: &Identifier) -> String {
    name.as_str().replace('\\', "\\\\").replace('\'', "''")
}

/// Refuses to fire triggers that nobody acknowledged.
pub(crate) fn refuse_triggers(work: &Work<'_>, shape: &Shape, events: &[&str]) -> Result<(), Error> {
    let table = &shape.name;
    let fired = shape.triggers.iter().find(|(_, event)| events.contains(&event.as_str()));
    match fired {
        Some((name, event)) if !work.plan.acknowledged_triggers.contains(table) => Err(Error::new(
            Cause::InvalidSpec,
            format!(
                "trigger {name} on table {table} would fire ({event}) when rows are cleaned up or put back: acknowledge it with \
                 spec.acknowledge: [{{hazard: Triggers, table: {}}}], or drop it for the time of the migration",
                table.table
            ),
        )),
        _ => Ok(()),
    }
}
