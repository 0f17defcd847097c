//! Putting the backup back: its tables, restored into a schema beside the live one and compared there, take the place of the live ones by
//! one RENAME TABLE, which the server carries out as a whole or not at all. The live ones go to a schema that keeps them until a purge.
//! The whole schema is exchanged: a backup is of one moment, keys follow their tables, and none may connect the two moments.

use sqlx::Row;

use super::connection::{Connection, SessionLimits, sql};
use super::create_statement;
use super::ddl::{Change, apply};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error, Left};
use super::goal::{Goal, Standing};
use super::journal::OperationState;
use super::journal::restores::{Restore, RestoreState};
use super::observe::observe;
use super::quarantine_counts;
use super::report::{PutBackReport, UndoReport};
use super::schema_tables;
use super::session::{Session, Work};
use super::work::{Allowance, JournalLocation, Progress, Stop};
use super::{privileges, undo};
use crate::plan::identifier::{Identifier, TableName};
use crate::plan::model::{Estimate, LockClass};

/// Differences and obstacles that a message names.
const NAMED: usize = 10;
/// What the server may take for one table of the exchange, in milliseconds, for the estimate.
const RENAME_MILLISECONDS: u64 = 20;

impl Session {
    /// Makes an empty schema of this name for the backup's tables, and announces it in the journal. What an earlier try of this migration
    /// has restored goes first. Whether the backup is in place already; then nothing is done.
    ///
    /// # Errors
    /// [`Cause::Drifted`] when a schema of that name is somebody else's; else what the server answers.
    pub async fn prepare_restore(
        &self,
        restored: &Identifier,
        kept: &Identifier,
        progress: &Progress,
        stop: &Stop,
    ) -> Result<bool, Error> {
        let stop = Stop(stop.0.child_token());
        let work = self.work(Allowance::default(), progress, &stop);
        self.fenced(&stop, Box::pin(async move { prepare(&work, restored, kept).await })).await
    }

    /// Whether the backup is in place.
    ///
    /// # Errors
    /// [`Cause::RollbackIncomplete`] when the tables are neither here nor there.
    pub async fn is_put_back(&self, progress: &Progress, stop: &Stop) -> Result<bool, Error> {
        let stop = Stop(stop.0.child_token());
        let work = self.work(Allowance::default(), progress, &stop);
        self.fenced(&stop, Box::pin(async move { settle(&work).await })).await
    }

    /// Exchanges the live tables for those of the backup, marks everything that the journal says as taken back, and compares every touched
    /// table with its before-image. Called again, it goes on from there.
    ///
    /// # Errors
    /// [`Cause::RollbackIncomplete`] with what stands in the way or what differs, [`Cause::RetriesExhausted`] naming the last blocker, or
    /// what the server answers.
    pub async fn put_back(&self, progress: &Progress, stop: &Stop) -> Result<PutBackReport, Error> {
        let stop = Stop(stop.0.child_token());
        let work = self.work(Allowance::default(), progress, &stop);
        self.fenced(&stop, Box::pin(async move { put_back(&work).await })).await
    }
}

/// Why the tables of a schema could not be exchanged for a backup's, each with its way out; empty: they can.
///
/// # Errors
/// What the server answers.
pub async fn obstacles(connection: &mut Connection, schema: &Identifier) -> Result<Vec<String>, Error> {
    Ok(schema_tables::read(connection, schema).await?.obstacles())
}

/// The privileges that this needs and the account lacks, each with the statement that grants it.
///
/// # Errors
/// What the server answers.
pub async fn missing_to_put_back(connection: &mut Connection, journal: &JournalLocation) -> Result<Vec<String>, Error> {
    privileges::missing_to_put_back(connection, journal).await
}

fn in_schema(schema: &Identifier, tables: &[Identifier]) -> Vec<TableName> {
    tables.iter().map(|table| TableName::new(schema.clone(), table.clone())).collect()
}

/// The tables of an exchange, by where they are before and after it.
struct Places {
    live: Vec<TableName>,
    kept: Vec<TableName>,
    restored: Vec<TableName>,
}

impl Places {
    fn of(work: &Work<'_>, restore: &Restore) -> Self {
        Self {
            live: in_schema(&work.plan.schema, &restore.live),
            kept: in_schema(&restore.kept, &restore.live),
            restored: in_schema(&restore.restored, &restore.tables),
        }
    }

    fn goal(&self) -> Goal<'_> {
        Goal::Exchanged { live: &self.live, kept: &self.kept, restored: &self.restored }
    }

    /// One statement for all. What was there goes first, so that each name is free when the backup's table takes it.
    fn statement(&self, live: &Identifier) -> String {
        let away = self.live.iter().zip(&self.kept).map(|(from, to)| (from.quoted(), to.quoted()));
        let back =
            self.restored.iter().map(|from| (from.quoted(), TableName::new(live.clone(), from.table.clone()).quoted()));
        let moves: Vec<String> = away.chain(back).map(|(from, to)| format!("{from} TO {to}")).collect();
        format!("RENAME TABLE {}", moves.join(", "))
    }
}

async fn prepare(work: &Work<'_>, restored: &Identifier, kept: &Identifier) -> Result<bool, Error> {
    if settle(work).await? {
        return Ok(true);
    }
    work.progress.update(|reading| reading.activity = format!("making the schema {restored} for the backup's tables"));
    let mut connection = work.connect(SessionLimits::default()).await?;
    if let Some(before) = work.journal.restore().await? {
        if matches!(before.state, RestoreState::Swapped | RestoreState::Purged) {
            return Err(incomplete(&[format!(
                "it was put back before, and the migration has begun anew since; what was there first is kept in the schema {}",
                before.kept
            )]));
        }
        drop_schema(&mut connection, &before.restored).await?;
        // Made just before an exchange that did not happen.
        remove_if_empty(&mut connection, &before.kept).await?;
    }
    for schema in [restored, kept] {
        if schema_tables::exists(&mut connection, schema).await? {
            return Err(Error::new(
                Cause::RollbackIncomplete,
                format!(
                    "a schema {schema} is there that this migration did not make: look at it, and drop or rename it"
                ),
            ));
        }
    }
    work.journal.preparing_restore(restored, kept).await?;
    create_schema(&mut connection, restored).await?;
    connection.close().await?;
    Ok(false)
}

async fn create_schema(connection: &mut Connection, schema: &Identifier) -> Result<(), Error> {
    let statement = format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted());
    within(SHORT_STATEMENT, format!("making the schema {schema}"), connection.run(&statement)).await.map(drop)
}

async fn drop_schema(connection: &mut Connection, schema: &Identifier) -> Result<(), Error> {
    let statement = format!("DROP SCHEMA IF EXISTS {}", schema.quoted());
    within(super::purge::DROP_DEADLINE, format!("removing the schema {schema}"), connection.run(&statement))
        .await
        .map(drop)
}

/// Learns from the catalogue whether an exchange that was announced has happened, and records it with what it has taken back; whether the
/// backup is in place and nothing was begun since.
///
/// # Errors
/// [`Cause::RollbackIncomplete`] when the tables are neither here nor there.
pub(crate) async fn settle(work: &Work<'_>) -> Result<bool, Error> {
    let Some(restore) = work.journal.restore().await? else { return Ok(false) };
    match restore.state {
        RestoreState::Prepared => return Ok(false),
        RestoreState::Swapping => {
            let places = Places::of(work, &restore);
            let goal = places.goal();
            match goal.standing(&observe(work, &goal.tables()).await?) {
                Standing::NotReached => return Ok(false),
                Standing::Reached => {}
                Standing::Contradicted(found) => return Err(incomplete(&[found])),
            }
            work.journal.swapped().await?;
        }
        RestoreState::Swapped | RestoreState::Purged => {}
    }
    let (taken_back, begun_since) = work.journal.standing_beside_exchange().await?;
    for operation in &taken_back {
        work.journal.undone(operation).await?;
    }
    Ok(!begun_since)
}

fn incomplete(remains: &[String]) -> Error {
    let named = remains.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = remains.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let message = format!("the backup cannot be put back: {named}{more}");
    Error { left: left(remains), ..Error::new(Cause::RollbackIncomplete, message) }
}

fn left(remains: &[String]) -> Vec<Left> {
    remains.iter().map(|what| Left { operation: None, what: what.clone(), inverse: None }).collect()
}

async fn put_back(work: &Work<'_>) -> Result<PutBackReport, Error> {
    let before = work.journal.read_operations().await?;
    let standing = before.iter().rev().filter(|record| record.state != OperationState::Undone);
    let undone: Vec<String> = standing.map(|record| record.operation.id.clone()).collect();
    if !settle(work).await? {
        exchange(work).await?;
    }
    let Some(restore) = work.journal.restore().await? else {
        return Err(incomplete(&["the journal knows of no restored backup".to_owned()]));
    };
    remove_empty(work, &restore.restored).await?;
    let mut compared = UndoReport { undone, ..UndoReport::default() };
    let mut remains = Vec::new();
    undo::compare(work, &mut compared, &mut remains).await?;
    compared.quarantined = Box::pin(quarantine_counts::count(work)).await?;
    if !remains.is_empty() {
        let message = format!(
            "the backup is in place, and what was there before is kept in the schema {}, but it is not what was planned for: {}",
            restore.kept,
            remains.join("; ")
        );
        return Err(Error { left: left(&remains), ..Error::new(Cause::RollbackIncomplete, message) });
    }
    Ok(PutBackReport {
        tables: restore.tables.len() as u64,
        kept_tables: restore.live.len() as u64,
        kept_schema: restore.kept,
        compared,
    })
}

async fn exchange(work: &Work<'_>) -> Result<(), Error> {
    work.stop.check()?;
    let Some(restore) = work.journal.restore().await? else {
        return Err(incomplete(&["the journal knows of no restored backup".to_owned()]));
    };
    let mut connection = work.connect(SessionLimits::default()).await?;
    let live = schema_tables::read(&mut connection, &work.plan.schema).await?;
    let restored = schema_tables::read(&mut connection, &restore.restored).await?;
    let mut obstacles: Vec<String> = [live.obstacles(), restored.obstacles()].concat();
    if restored.tables.is_empty() {
        obstacles.push(format!("the schema {} holds no table: the backup was not restored into it", restore.restored));
    }
    obstacles.extend(differing(work, &mut connection, &restore.restored).await?);
    if !obstacles.is_empty() {
        return Err(incomplete(&obstacles));
    }
    create_schema(&mut connection, &restore.kept).await?;
    raise_counters(&mut connection, &work.plan.schema, &restore.restored).await?;
    connection.close().await?;
    work.journal.swapping(&live.tables, &restored.tables).await?;
    let places = Places::of(work, &Restore { live: live.tables, tables: restored.tables, ..restore.clone() });
    let moves = (places.live.len() + places.restored.len()) as u64;
    let statement = places.statement(&work.plan.schema);
    let change = Change {
        label: "exchanging the tables for those of the backup",
        statement: &statement,
        // Its wait for locks is bounded; ending it while it renames would only have it done again.
        lock: LockClass::OnlineBuild,
        estimate: Estimate { milliseconds: moves.saturating_mul(RENAME_MILLISECONDS), ..Estimate::default() },
        goal: places.goal(),
    };
    let applied = apply(work, &change).await?;
    tracing::info!(tables = moves, tries = applied.tries, "the backup's tables are in place");
    settle(work).await.map(drop)
}

/// Tables that the backup holds otherwise than the plan saw them: it was made before somebody changed them.
async fn differing(work: &Work<'_>, connection: &mut Connection, restored: &Identifier) -> Result<Vec<String>, Error> {
    create_statement::settle_format(connection).await?;
    let mut found = Vec::new();
    for table in undo::planned_tables(work)? {
        let (name, before) = (table.to_string(), work.plan.tables.get(&table.to_string()));
        let there = TableName::new(restored.clone(), table.table.clone());
        let reading = create_statement::read(connection, &there);
        match (before, within(SHORT_STATEMENT, "reading the definition of a table", reading).await) {
            (Some(before), Ok(now)) if *before == now => {}
            (Some(before), Ok(now)) => found.push(format!(
                "the backup holds the table {name} otherwise than it was planned for: {}",
                undo::difference(before, &now)
            )),
            (None, Ok(_)) => {}
            (_, Err(error)) if error.cause == Cause::Drifted => {
                found.push(format!("the backup lacks the table {name}"))
            }
            (_, Err(error)) => return Err(error),
        }
    }
    Ok(found)
}

/// Lets no id be given out twice that was given out since the backup: others may know of it.
async fn raise_counters(connection: &mut Connection, live: &Identifier, restored: &Identifier) -> Result<(), Error> {
    let now = counters(connection, live).await?;
    for (table, counter) in counters(connection, restored).await? {
        let Some((_, wanted)) = now.iter().find(|(name, wanted)| *name == table && *wanted > counter) else { continue };
        let table = TableName::new(restored.clone(), table);
        let statement =
            format!("ALTER TABLE {} AUTO_INCREMENT = {wanted}, ALGORITHM=INPLACE, LOCK=NONE", table.quoted());
        within(SHORT_STATEMENT, format!("raising the counter of {table}"), connection.run(&statement)).await?;
    }
    Ok(())
}

async fn counters(connection: &mut Connection, schema: &Identifier) -> Result<Vec<(Identifier, u64)>, Error> {
    within(SHORT_STATEMENT, format!("reading the AUTO_INCREMENT values of {schema}"), async {
        if let Some(statement) = connection.dialect.fresh_statistics() {
            connection.run(statement).await?;
        }
        let statement = "SELECT CAST(TABLE_NAME AS CHAR), CAST(AUTO_INCREMENT AS UNSIGNED) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE' AND AUTO_INCREMENT IS NOT NULL";
        let rows = sqlx::query(statement).bind(schema.as_str()).fetch_all(connection.raw()).await?;
        rows.iter().map(|row| Ok((super::catalogue::identifier(row, 0)?, row.try_get(1)?))).collect()
    })
    .await
}

/// Removes the schema that the backup was restored into, once all its tables have left it.
async fn remove_empty(work: &Work<'_>, schema: &Identifier) -> Result<(), Error> {
    let mut connection = work.connect(SessionLimits::default()).await?;
    remove_if_empty(&mut connection, schema).await?;
    connection.close().await
}

async fn remove_if_empty(connection: &mut Connection, schema: &Identifier) -> Result<(), Error> {
    if schema_tables::exists(connection, schema).await?
        && schema_tables::read(connection, schema).await?.tables.is_empty()
    {
        drop_schema(connection, schema).await?;
    }
    Ok(())
}

/// Removes what was restored and is not needed: the migration ends otherwise.
///
/// # Errors
/// What the server answers.
pub(crate) async fn remove_unused(work: &Work<'_>) -> Result<(), Error> {
    let Some(restore) = work.journal.restore().await? else { return Ok(()) };
    if matches!(restore.state, RestoreState::Prepared | RestoreState::Swapping) && !settle(work).await? {
        let mut connection = work.connect(SessionLimits::default()).await?;
        drop_schema(&mut connection, &restore.restored).await?;
        remove_if_empty(&mut connection, &restore.kept).await?;
        connection.close().await?;
    }
    Ok(())
}

/// Deletes for good the tables that were kept for a migration that has put its backup back; how many there were. The caller holds the
/// fence, and the migration has ended.
///
/// # Errors
/// What the server answers.
pub(crate) async fn purge(
    connection: &mut Connection,
    restores: &TableName,
    migration: &str,
    check: &mut (impl FnMut(&str) -> Result<(), Error> + Send),
) -> Result<u64, Error> {
    let found =
        within(SHORT_STATEMENT, "reading the journal", super::journal::restores::read(restores, migration, connection));
    let Some(restore) = found.await?.filter(|restore| restore.state == RestoreState::Swapped) else { return Ok(0) };
    let mut deleted = 0;
    if schema_tables::exists(connection, &restore.kept).await? {
        let there = schema_tables::read(connection, &restore.kept).await?.tables;
        within(SHORT_STATEMENT, "setting the session up", connection.run("SET SESSION foreign_key_checks = 0")).await?;
        // Only what the journal says: whatever else somebody put there stays, and so does the schema then.
        for table in restore.live.iter().filter(|table| there.contains(table)) {
            let table = TableName::new(restore.kept.clone(), table.clone());
            check(&format!("deleting {table}"))?;
            let statement = format!("DROP TABLE IF EXISTS {}", table.quoted());
            within(super::purge::DROP_DEADLINE, format!("deleting {table}"), connection.run(&statement)).await?;
            deleted += 1;
        }
        if there.iter().all(|table| restore.live.contains(table)) {
            drop_schema(connection, &restore.kept).await?;
        }
    }
    let statement = format!(
        "UPDATE {} SET state = 'Purged', purged_at = UTC_TIMESTAMP(6) WHERE migration = ? AND state = 'Swapped'",
        restores.quoted()
    );
    within(SHORT_STATEMENT, "recording the purge of the kept tables", async {
        Ok(sqlx::query(sql(statement)).bind(migration).execute(connection.raw()).await?)
    })
    .await?;
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(name: &str) -> Identifier {
        Identifier::new(name).unwrap()
    }

    #[test]
    fn what_was_there_makes_room_before_the_backup_takes_its_place() {
        let places = Places {
            live: in_schema(&id("shop"), &[id("a"), id("b`c")]),
            kept: in_schema(&id("kept"), &[id("a"), id("b`c")]),
            restored: in_schema(&id("restored"), &[id("a")]),
        };
        assert_eq!(
            places.statement(&id("shop")),
            "RENAME TABLE `shop`.`a` TO `kept`.`a`, `shop`.`b``c` TO `kept`.`b``c`, `restored`.`a` TO `shop`.`a`"
        );
    }
}
