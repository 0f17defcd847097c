//! Whether the replicas are fit for a migration to begin: every one that reads from the server is listed, and every listed one can be
//! read, follows the server, and keeps up with it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::connection::Connection;
use super::error::Error;
use super::preflight::{PreflightLimits, Reader, readers};
use super::replicas::{Replicas, Watched, committed};
use super::work::{Progress, Stop};
use crate::plan::TableName;

/// What looking takes beyond the lag itself.
const MARGIN: Duration = Duration::from_secs(1);

/// What was found of replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaReport {
    /// Listed ones that follow the server: host and port of each.
    pub following: Vec<String>,
    /// Readers of the binary log, of the server or of a replica, that are not listed.
    pub unlisted: Vec<Reader>,
}

/// Looks at the listed replicas, and for others. Nothing is waited for where one is not listed: that is for the caller to say first.
///
/// # Errors
/// [`super::Cause::ReplicaNotReady`] for one that cannot be read, does not follow the server or lags; [`super::Cause::Stopped`].
pub async fn check(
    primary: &mut Connection,
    replicas: &Replicas,
    limits: &PreflightLimits,
    tables: &[TableName],
    reporting: (&Progress, &Stop),
) -> Result<ReplicaReport, Error> {
    if !replicas.targets.is_empty() {
        // Before anything else: without GTIDs nothing that follows could be told.
        committed(primary).await?;
    }
    let watched = Watched::new(replicas);
    let found = look(primary, &watched, limits, tables).await;
    let report = match found {
        // A sample that is taken now is applied within the limit by a replica that keeps it.
        Ok(report) if report.unlisted.is_empty() => {
            let patience = replicas.max_lag + MARGIN;
            let waited = watched.wait_for_lag(primary, "the migration", patience, reporting).await;
            waited.map(|()| report)
        }
        found => found,
    };
    watched.close().await;
    report
}

async fn look(
    primary: &mut Connection,
    watched: &Watched,
    limits: &PreflightLimits,
    tables: &[TableName],
) -> Result<ReplicaReport, Error> {
    let mut report = ReplicaReport { unlisted: readers(primary).await?, following: Vec::new() };
    let mut listed = BTreeSet::new();
    for mut one in watched.in_hand(&primary.server_uuid).await? {
        report.following.push(one.target().place());
        let connection = one.connection();
        connection.check_surroundings(limits.minimum_server_version, &limits.schema, tables).await?;
        report.unlisted.extend(connection.readers().await?);
        listed.insert(connection.server_uuid().to_owned());
        one.give_back();
    }
    report.unlisted.retain(|reader| !reader.server_uuid.as_ref().is_some_and(|found| listed.contains(found)));
    Ok(report)
}
