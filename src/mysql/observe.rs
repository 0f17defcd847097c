//! What an operation looks at in the server before and after it acts, each time on a fresh snapshot.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;

use super::catalogue::read_named;
use super::create_statement;
use super::deadline::{SHORT_STATEMENT, within};
use super::error::Error;
use super::orphan_query::Answer;
use super::orphans;
use super::session::Work;
use crate::plan::TableName;
use crate::plan::catalogue::{Catalogue, ForeignKey};

/// The catalogue of a large schema takes seconds on a busy server.
const CATALOGUE_DEADLINE: Duration = Duration::from_secs(120);

/// Reads the catalogue of some tables, and all foreign keys of the schema.
pub(crate) async fn observe(work: &Work<'_>, tables: &[TableName]) -> Result<Catalogue, Error> {
    within(CATALOGUE_DEADLINE, "reading the catalogue", async {
        let mut connection = work.lend().await?;
        let catalogue = read_named(&mut connection, &work.plan.server, &work.plan.schema, tables).await?;
        connection.give_back();
        Ok(catalogue)
    })
    .await
}

/// SHOW CREATE TABLE of a table without its AUTO_INCREMENT value.
pub(crate) async fn create_statement(work: &Work<'_>, table: &TableName) -> Result<String, Error> {
    within(SHORT_STATEMENT, "reading the definition of a table", async {
        let mut connection = work.lend().await?;
        let statement = create_statement::read(&mut connection, table).await?;
        connection.give_back();
        Ok(statement)
    })
    .await
}

/// Counts children without a parent on a snapshot of its own; the server ends the count when the work is to stop.
pub(crate) async fn orphans_of(work: &Work<'_>, key: &ForeignKey) -> Result<Answer, Error> {
    let mut connection = work.lend().await?;
    let answer = orphans::count(work, &mut connection, key)
        .await
        .map_err(|error| error.while_doing(format!("counting orphans of {}", key.name)))?;
    connection.give_back();
    Ok(answer)
}

/// What [`orphans_of`] counted, and how long that took.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    /// Children without a parent, and what was asked.
    pub(crate) answer: Answer,
    /// Duration of the count.
    pub(crate) took: Duration,
}

/// Orphans that were counted for operations which follow at once, so that they need not count again what may take minutes: by the
/// operation's id, each good for once. What becomes an orphan in between is found where the key is added and proven.
#[derive(Debug, Default)]
pub(crate) struct CountedBefore(Mutex<BTreeMap<String, u64>>);

impl CountedBefore {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything: what a section counted before it was interrupted may be old.
    pub(crate) fn forget(&self) {
        self.counts().clear();
    }

    /// Keeps a count for an operation.
    pub(crate) fn keep(&self, operation: &str, orphans: u64) {
        self.counts().insert(operation.to_owned(), orphans);
    }

    /// The count that was kept for an operation, once.
    pub(crate) fn take(&self, operation: &str) -> Option<u64> {
        self.counts().remove(operation)
    }
}

/// Counts as [`orphans_of`] does for several keys, one after the other: two at a time end sooner by a quarter or so, and writers pay
/// for it (docs/figures.md). Gives what came with each key beside its count, in their order.
pub(crate) fn count_each<'a, T: Send + 'a>(
    work: &'a Work<'a>,
    keys: Vec<(T, &'a ForeignKey)>,
) -> BoxStream<'a, Result<(T, Counted), Error>> {
    let counting = futures::stream::iter(keys).then(move |(with, key)| async move {
        work.stop.check()?;
        work.progress.update(|reading| reading.activity = format!("counting orphans of {}", key.name));
        let started = Instant::now();
        let answer = orphans_of(work, key).await?;
        Ok((with, Counted { answer, took: started.elapsed() }))
    });
    counting.boxed()
}
