//! The rows of every table around a backup: counted before it and kept with its Job, read from what the Job left, and compared.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};

use crate::api::backup::{BackupType, Verification};
use crate::api::status::JobPurpose;
use crate::backup::{Outcome, RowCounts, Summary};
use crate::mysql::row_counters::{self, Baseline};
use crate::mysql::{Cause, Error, SessionLimits};
use crate::plan::Plan;

use super::backup_check::compare;
use super::observed::{JobView, TaskResult};
use super::work::Work;
use super::{backup_job, job_view};

/// Counts what is in the database just before the backup.
///
/// # Errors
/// When the server cannot be asked.
pub(super) async fn count(work: &Work) -> Result<TaskResult, Error> {
    // A dump fails where a table is altered meanwhile, and one of half of somebody's work is no way back.
    let plan = work.plan().await?;
    work.check_turn(&plan).await?;
    let changes = work.engine.changes_of_others(&plan).await?;
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let schema = work.schema()?;
    let counted = work.stoppable(&mut connection, "counting rows", async |connection| {
        row_counters::before(connection, &schema).await
    });
    let counted = counted.await;
    connection.close().await?;
    let counted = match counted {
        Ok(baseline) => Ok(baseline),
        Err(error) if error.cause == Cause::VerificationFailed => Err(error.message),
        Err(error) => return Err(error.while_doing("counting rows before the backup")),
    };
    Ok(match annotation(counted, work.migration.spec.backup.verification) {
        Ok(baseline) => TaskResult::Counted { baseline, changes },
        Err(message) => TaskResult::BackupUnproven(message),
    })
}

/// What the Job carries of the counts; `Err`: why the backup could not be proven by them, where it has to be.
fn annotation(counted: Result<Baseline, String>, verification: Verification) -> Result<String, String> {
    let written = |baseline: &Baseline| serde_json::to_string(baseline).map_err(|error| error.to_string());
    let fitting = counted.and_then(|baseline| {
        let text = written(&baseline)?;
        if text.len() <= backup_job::MAX_BASELINE {
            return Ok(text);
        }
        Err(format!(
            "the schema has {} tables, whose names and row counts take {} bytes, and the {} bytes that a Job can carry of them are too few: with \
             spec.backup.verification None they are not needed, nor with a backup of type External or VolumeSnapshot",
            baseline.tables.len(),
            text.len(),
            backup_job::MAX_BASELINE
        ))
    });
    match (fitting, verification) {
        // Nothing is compared with them.
        (Err(_), Verification::None) => written(&Baseline::default()),
        (fitting, _) => fitting,
    }
}

/// What another migration changed in the schema since just before the backup, for people; `None`: nothing, or the backup is not one that the
/// operator made at a time of its own.
///
/// # Errors
/// When the journal cannot be read.
pub(super) async fn changed_since(work: &Work, plan: &Plan) -> Result<Option<String>, Error> {
    if work.migration.spec.backup.backup_type != BackupType::Job {
        return Ok(None);
    }
    let backup = work.migration.status.as_ref().and_then(|status| status.backup.as_ref());
    let before = backup.and_then(|backup| backup.changes_before.as_deref());
    Ok(outdated(before, &work.engine.changes_of_others(plan).await?))
}

fn outdated(before: Option<&str>, now: &str) -> Option<String> {
    match before {
        Some(before) if before == now => None,
        Some(before) => Some(format!(
            "another migration changed the schema after the backup was begun: the journal had {before} of others then, and has {now}"
        )),
        // Of a backup by an earlier version.
        None => Some("it is not known what other migrations had changed when the backup was begun".to_owned()),
    }
}

/// Compares the backup with the database.
///
/// # Errors
/// When one of them cannot be asked.
pub(super) async fn check(work: &Work) -> Result<TaskResult, Error> {
    let Left { baseline, summary, rows } = match left(work).await? {
        Ok(left) => left,
        Err(message) => return Ok(TaskResult::BackupUnproven(message)),
    };
    if let Some(changed) = changed_since(work, &*work.plan().await?).await? {
        return Ok(TaskResult::BackupOutdated(changed));
    }
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let afterwards = row_counters::after(&mut connection, &work.schema()?).await;
    connection.close().await?;
    let afterwards = afterwards.map_err(|error| error.while_doing("counting rows after the backup"))?;
    Ok(match compare(&baseline, &afterwards, &summary.names, &rows) {
        Ok(()) => TaskResult::BackupProven,
        Err(message) => TaskResult::BackupUnproven(message),
    })
}

/// What the last backup Job carries and left behind.
struct Left {
    baseline: Baseline,
    summary: Summary,
    rows: Vec<u64>,
}

async fn left(work: &Work) -> Result<Result<Left, String>, Error> {
    let namespace = work.migration.namespace().unwrap_or_default();
    let status = work.migration.status.clone().unwrap_or_default();
    let entry = status.jobs.iter().rev().find(|job| job.purpose == JobPurpose::Backup);
    let Some(name) = entry.map(|entry| entry.name.as_str()) else {
        return Ok(Err("no backup Job is recorded in the status".to_owned()));
    };
    let unavailable =
        |error: kube::Error| Error::new(Cause::NotReady, format!("reading the backup Job {name}: {error}"));
    let jobs_api: Api<Job> = Api::namespaced(work.context.client.clone(), &namespace);
    let Some(job) = jobs_api.get_opt(name).await.map_err(unavailable)? else {
        return Ok(Err(format!("the backup Job {name} is gone before its result was compared")));
    };
    let selector = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let pods_api: Api<Pod> = Api::namespaced(work.context.client.clone(), &namespace);
    let pods = pods_api.list(&selector).await.map_err(unavailable)?.items;
    let uid = work.migration.metadata.uid.as_deref().unwrap_or_default();
    let JobView::Succeeded { message: Some(message), .. } =
        job_view::view(&job, &pods, uid, None, jiff::Timestamp::now())
    else {
        return Ok(Err(format!("the backup Job {name} left no result")));
    };
    let Ok(Outcome::Made(summary)) = serde_json::from_str(&message) else {
        return Ok(Err(format!("the result of the backup Job {name} cannot be read")));
    };
    let baseline = job.annotations().get(backup_job::BASELINE).and_then(|text| serde_json::from_str(text).ok());
    let Some(baseline) = baseline else {
        return Ok(Err(format!("the backup Job {name} lacks the row counts from before")));
    };
    let rows = match &summary.rows {
        RowCounts::Here(rows) => Ok(rows.clone()),
        RowCounts::InTheLog(told) => {
            let parameters = LogParams { tail_lines: Some(told.lines()), ..LogParams::default() };
            let Some(pod) = pods.last().map(ResourceExt::name_any) else {
                return Ok(Err(format!("the backup Job {name} has no pod any more, whose log holds the row counts")));
            };
            let log = pods_api.logs(&pod, &parameters).await.map_err(|error| {
                let why = format!("reading the row counts of the backup from the log of its pod {pod}: {error}");
                Error::new(Cause::NotReady, why)
            });
            told.read(&log?).map_err(|why| format!("the backup Job {name} did not leave the rows of its tables: {why}"))
        }
    };
    Ok(rows.map(|rows| Left { baseline, summary, rows }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mysql::row_counters::TableCount;

    fn counted(tables: usize) -> Baseline {
        let count = TableCount { rows: 12_345_678, inserted: 1_234_567, deleted: 123_456, updated: Some(12_345) };
        let tables = (0..tables).map(|each| (format!("a_table_of_the_shop_{each:05}"), count));
        Baseline { server_uuid: "u".repeat(36), uptime: 1, tables: tables.collect() }
    }

    #[test]
    fn the_counts_of_thousands_of_tables_go_with_the_job_and_come_back() {
        let text = annotation(Ok(counted(3500)), Verification::Restore).unwrap();
        assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), counted(3500));
    }

    #[test]
    fn a_backup_from_before_what_another_migration_changed_is_outdated_and_so_is_one_of_which_that_is_not_known() {
        let (before, now) = ("2 changes, the last one at 1", "3 changes, the last one at 2");
        assert_eq!(outdated(Some(now), now), None);
        let told = outdated(Some(before), now).unwrap();
        assert!(told.contains(before) && told.contains(now), "{told}");
        assert!(outdated(None, "0 changes").unwrap().contains("not known"));
    }

    #[test]
    fn what_cannot_be_carried_or_counted_fails_a_backup_that_is_to_be_proven_and_no_other() {
        for verification in [Verification::Inspect, Verification::Restore] {
            let message = annotation(Ok(counted(9000)), verification).unwrap_err();
            assert!(message.contains("9000 tables") && message.contains("verification None"), "{message}");
            assert_eq!(annotation(Err("not counted".to_owned()), verification).unwrap_err(), "not counted");
        }
        for counted in [Ok(counted(9000)), Err("not counted".to_owned())] {
            let text = annotation(counted, Verification::None).unwrap();
            assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), Baseline::default());
        }
    }
}
