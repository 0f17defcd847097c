//! The proof that a migration is complete: every key and unique constraint as the plan says, no orphan on a snapshot younger than
//! every transaction that could hide one, and as many keys as each stage expects.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use sqlx::Row;

use super::connection::{Connection, sql};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Cause, Error};
use super::goal::{Goal, Standing, same_key};
use super::observe::{Counted, count_each, observe};
use super::operations::milliseconds;
use super::orphan_query::Answer;
use super::report::{ExpectationProof, KeyProof, Proof, UniqueProof};
use super::session::Work;
use super::{barrier, replica_proof, sql_steps};
use crate::plan::TableName;
use crate::plan::catalogue::{Catalogue, ForeignKey};
use crate::plan::model::{Action, StagePlan};

/// Proves the whole plan.
///
/// # Errors
/// [`Cause::VerificationFailed`] with everything that does not hold.
pub(crate) async fn prove(work: &Work<'_>) -> Result<Proof, Error> {
    let plan = work.plan;
    let added = plan.operations.iter().filter_map(|operation| match &operation.action {
        Action::AddForeignKey { key, .. } => Some(key),
        _ => None,
    });
    let keys: Vec<&ForeignKey> = plan.adopted.iter().chain(added).collect();
    let uniques: Vec<&Action> = plan
        .operations
        .iter()
        .map(|operation| &operation.action)
        .filter(|action| matches!(action, Action::AddUnique { .. }))
        .collect();
    let tables: BTreeSet<TableName> = keys
        .iter()
        .flat_map(|key| [key.child.clone(), key.parent.clone()])
        .chain(uniques.iter().map(|action| action.table().clone()))
        .collect();

    barrier::wait(work, "proof").await?;
    // Before the first count, so that every count has seen them.
    let transactions = committed(work).await?;
    let catalogue = observe(work, &tables.into_iter().collect::<Vec<_>>()).await?;
    let mut failures = Vec::new();
    let mut proven = Vec::new();
    let total = keys.len() as u64;
    work.progress.update(|reading| (reading.operations_done, reading.operations_total) = (0, total));
    let mut present = Vec::with_capacity(keys.len());
    for &key in &keys {
        if catalogue.foreign_keys.iter().any(|found| same_key(found, key)) {
            present.push((key, key));
        } else {
            failures.push(format!("key {} of {} is not in the catalogue as planned", key.name, key.child));
        }
    }
    let mut counts = count_each(work, present);
    while let Some((key, Counted { answer: Answer { orphans, query }, took })) = counts.try_next().await? {
        work.progress.update(|reading| reading.operations_done += 1);
        if orphans > 0 {
            failures.push(format!("{orphans} rows of {} refer to no row of {} ({})", key.child, key.parent, key.name));
            continue;
        }
        proven.push(KeyProof { key: key.clone(), orphans, query, milliseconds: milliseconds(took) });
    }
    let mut proven_uniques = Vec::new();
    for action in uniques {
        let (Some(goal), Action::AddUnique { table, index, columns }) = (Goal::of(action), action) else { continue };
        match goal.standing(&catalogue) {
            Standing::Reached => {
                proven_uniques.push(UniqueProof {
                    table: table.clone(),
                    name: index.clone(),
                    columns: columns.clone(),
                });
            }
            Standing::NotReached => {
                failures.push(format!("unique constraint {index} of {table} is not in the catalogue"))
            }
            Standing::Contradicted(found) => failures.push(found),
        }
    }
    let mut expectations = Vec::new();
    for stage in &plan.stages {
        for expectation in counted(stage, &catalogue) {
            if expectation.found < expectation.at_least {
                failures.push(missed(&expectation));
            }
            expectations.push(expectation);
        }
    }
    failures.extend(sql_steps::verify_all(work).await?);
    let on_replicas = Box::pin(replica_proof::prove(work, &keys, &mut failures)).await?;
    if !failures.is_empty() {
        return Err(Error::new(
            Cause::VerificationFailed,
            format!("the migration is not complete: {}", failures.join("; ")),
        ));
    }
    let mut connection = work.lend().await?;
    let (proven_at, sessions_without_checks, checks_off_globally) =
        within(SHORT_STATEMENT, "looking for sessions without foreign key checks", holes(&mut connection)).await?;
    connection.give_back();
    Ok(Proof {
        server_uuid: work.journal.server_uuid().to_owned(),
        proven_at,
        transactions,
        keys: proven,
        uniques: proven_uniques,
        expectations,
        sessions_without_checks,
        checks_off_globally,
        replicas: on_replicas,
    })
}

/// The transactions that the server has committed, by their identifiers; `None` where they have none.
async fn committed(work: &Work<'_>) -> Result<Option<String>, Error> {
    let mut connection = work.lend().await?;
    let text = within(SHORT_STATEMENT, "reading which transactions are committed", async {
        let row = sqlx::raw_sql(connection.dialect.committed_transactions()).fetch_one(connection.raw()).await?;
        Ok(row.try_get::<Option<String>, _>(0)?)
    })
    .await?;
    connection.give_back();
    // The server breaks the list into lines.
    Ok(text.map(|text| text.replace('\n', "")).filter(|text| !text.is_empty()))
}

async fn holes(connection: &mut Connection) -> Result<(String, Option<u64>, bool), Error> {
    let row = sqlx::raw_sql("SELECT CAST(UTC_TIMESTAMP(3) AS CHAR), @@global.foreign_key_checks")
        .fetch_one(connection.raw())
        .await?;
    let (now, global): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    let Some(unchecked) = connection.dialect.unchecked_sessions() else { return Ok((now, None, global == 0)) };
    let sessions = sqlx::raw_sql(sql(format!("SELECT COUNT(*) FROM ({unchecked}) AS unchecked")))
        .fetch_one(connection.raw())
        .await;
    let sessions = match sessions {
        Ok(row) => Some(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0)),
        Err(error) => {
            tracing::warn!(error = %error, "sessions with foreign_key_checks = 0 cannot be counted");
            None
        }
    };
    Ok((now, sessions, global == 0))
}

fn counted<'a>(stage: &'a StagePlan, catalogue: &'a Catalogue) -> impl Iterator<Item = ExpectationProof> + 'a {
    stage.expect.iter().map(|expectation| ExpectationProof {
        stage: stage.name.clone(),
        referenced_table: expectation.referenced_table.clone(),
        at_least: expectation.at_least,
        found: expectation.counted(catalogue),
    })
}

fn missed(expectation: &ExpectationProof) -> String {
    let what = match &expectation.referenced_table {
        Some(table) => format!("keys that refer to {table}"),
        None => "keys of the schema".to_owned(),
    };
    format!(
        "stage {} expects at least {} {what}, there are {}",
        expectation.stage, expectation.at_least, expectation.found
    )
}

/// Checks what the end of a stage must show.
///
/// # Errors
/// [`Cause::VerificationFailed`] with every expectation that is missed.
pub(crate) async fn check_expectations(work: &Work<'_>, stage: &StagePlan) -> Result<(), Error> {
    if stage.expect.is_empty() {
        return Ok(());
    }
    let catalogue = observe(work, &[]).await?;
    let failures: Vec<String> =
        counted(stage, &catalogue).filter(|found| found.found < found.at_least).map(|found| missed(&found)).collect();
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::new(Cause::VerificationFailed, failures.join("; ")))
}
