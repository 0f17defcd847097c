//! What tests of work on rows share: operations on rows, running and undoing them, and comparing whole tables.

use holdfast::mysql::report::{QuarantineCounts, RowsReport, SectionReport, UndoReport};
use holdfast::mysql::session::Session;
use holdfast::mysql::{Allowance, Error, Progress, Stop};
use holdfast::plan::catalogue::{ForeignKey, ReferentialAction};
use holdfast::plan::model::{Action, DuplicatePolicy, Estimate, LockClass, OrphanPolicy};
use holdfast::plan::{Operation, Section};
use sqlx::{AssertSqlSafe, Row};

use crate::common::identifier as id;
use crate::database::{Database, PATIENCE};

/// An operation on rows.
pub(crate) fn rows_operation(name: &str, section: Section, action: Action) -> Operation {
    Operation {
        id: name.to_owned(),
        section,
        action,
        forward: None,
        inverse: None,
        lock: LockClass::Batched,
        estimate: Estimate::default(),
        inverse_cost: None,
        path: format!("spec.test.{name}"),
    }
}

/// A key from columns of one table to columns of another.
pub(crate) fn key(database: &Database, name: &str, child: (&str, &[&str]), parent: (&str, &[&str])) -> ForeignKey {
    ForeignKey {
        name: id(name),
        child: database.table(child.0),
        columns: child.1.iter().map(|column| id(column)).collect(),
        parent: database.table(parent.0),
        parent_columns: parent.1.iter().map(|column| id(column)).collect(),
        on_delete: ReferentialAction::Cascade,
        on_update: ReferentialAction::NoAction,
    }
}

/// Removes the orphans of a key.
pub(crate) fn remove_orphans(key: ForeignKey, policy: OrphanPolicy) -> Operation {
    let name = format!("orphans-{}", key.name);
    rows_operation(&name, Section::CleanUp, Action::RemoveOrphans { key, policy })
}

/// Removes duplicates, ordered by a column.
pub(crate) fn remove_duplicates(
    database: &Database,
    table: &str,
    columns: &[&str],
    policy: DuplicatePolicy,
    order_by: &str,
    dependents: Vec<ForeignKey>,
) -> Operation {
    let action = Action::RemoveDuplicates {
        table: database.table(table),
        columns: columns.iter().map(|column| id(column)).collect(),
        policy,
        order_by: id(order_by),
        dependents,
    };
    rows_operation(&format!("duplicates-{table}"), Section::CleanUp, action)
}

/// Runs the cleanup of these operations and adds their reports up.
pub(crate) async fn clean(session: &Session, max_rows: Option<u64>) -> Result<RowsReport, Error> {
    run(session, Section::CleanUp, max_rows).await
}

/// Runs a section and adds the reports of its operations up.
pub(crate) async fn run(session: &Session, section: Section, max_rows: Option<u64>) -> Result<RowsReport, Error> {
    let report = run_whole(session, section, max_rows).await?;
    let mut sum = RowsReport::default();
    for rows in report.operations.into_iter().filter_map(|operation| operation.rows) {
        sum.rows_removed += rows.rows_removed;
        sum.values_changed += rows.values_changed;
        sum.rounds += rows.rounds;
        sum.total = rows.total.or(sum.total);
        sum.mapped = rows.mapped.or(sum.mapped);
        sum.unmapped = rows.unmapped.or(sum.unmapped);
        sum.ambiguous = rows.ambiguous.or(sum.ambiguous);
    }
    Ok(sum)
}

/// Runs a section.
pub(crate) async fn run_whole(
    session: &Session,
    section: Section,
    max_rows: Option<u64>,
) -> Result<SectionReport, Error> {
    let (progress, _reading) = Progress::new();
    let stop = Stop::default();
    let work = session.run(section, Allowance { max_rows, copy: true, until: None }, &progress, &stop);
    tokio::time::timeout(PATIENCE, work).await.expect("the section ends in time")
}

/// What the migration has in quarantine, told by running its cleanup once more, which finds nothing to do.
pub(crate) async fn quarantined(session: &Session) -> QuarantineCounts {
    run_whole(session, Section::CleanUp, None).await.unwrap().quarantined
}

/// Takes everything back.
pub(crate) async fn undo(session: &Session) -> Result<UndoReport, Error> {
    let (progress, _reading) = Progress::new();
    tokio::time::timeout(PATIENCE, session.undo(&progress, &Stop::default())).await.expect("the undoing ends in time")
}

impl Database {
    /// CHECKSUM TABLE.
    pub(crate) async fn checksum(&self, table: &str) -> i64 {
        let mut connection = self.application().await;
        let statement = format!("CHECKSUM TABLE {}", self.table(table).quoted());
        let row = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(connection.raw()).await.unwrap();
        row.try_get(1).unwrap()
    }

    /// A session for these operations.
    pub(crate) async fn session(&self, operations: Vec<Operation>) -> Session {
        let plan = self.plan(operations).await;
        self.engine().begin("shop/rows", &plan).await.unwrap()
    }
}
