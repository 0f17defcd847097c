//! The tasks of the way back by the backup: whether it can be gone at all, what it loses, and the two steps of the engine.

use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt as _};

use crate::api::gates::OnFailure;
use crate::api::status::{BackupStatus, JobPurpose};
use crate::api::steering::SteeringAction;
use crate::mysql::loss::{self, Loss};
use crate::mysql::put_back::{missing_to_put_back, obstacles};
use crate::mysql::row_counters::Baseline;
use crate::mysql::session::Session;
use crate::mysql::{Cause, Connection, Error, SessionLimits};
use crate::plan::{Identifier, Plan, Problem};

use super::observed::TaskResult;
use super::work::Work;
use super::{backup_counts, backup_job, put_back_names};

const FIELD: &str = "spec.rollback.onFailure";

/// Why the backup could not be put back after a failure, as far as planning can know.
///
/// # Errors
/// When the server cannot be asked.
pub(super) async fn problems(work: &Work, connection: &mut Connection, plan: &Plan) -> Result<Vec<Problem>, Error> {
    let spec = &work.migration.spec;
    if spec.rollback.on_failure != OnFailure::RestoreBackup {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    found.extend(
        put_back_names::unfit(&work.migration)
            .map(|why| format!("RestoreBackup cannot be done: {why}, or use Undo or Hold")),
    );
    let elsewhere: Vec<String> =
        plan.touched().into_iter().filter(|table| table.schema != plan.schema).map(ToString::to_string).collect();
    if !elsewhere.is_empty() {
        found.push(format!(
            "RestoreBackup puts back the schema {} alone, and the plan concerns tables of others too ({}): use Undo or Hold",
            plan.schema,
            elsewhere.join(", ")
        ));
    }
    let obstacles = obstacles(connection, &plan.schema).await?;
    found.extend(obstacles.into_iter().map(|why| format!("RestoreBackup cannot be done: {why} (Undo or Hold)")));
    Ok(found.into_iter().map(|message| Problem::new(FIELD, message)).collect())
}

/// Counts what would be lost, once it is known that nothing stands in the way: the strategy may have been chosen after planning, and tables
/// change. Nobody is asked to approve what cannot be done.
///
/// # Errors
/// [`Cause::RollbackIncomplete`] with what stands in the way; when the server or the API server cannot be asked.
pub(super) async fn count_loss(work: &Work) -> Result<Loss, Error> {
    let schema = work.schema()?;
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let mut lacks = obstacles(&mut connection, &schema).await?;
    let missing = missing_to_put_back(&mut connection, &work.engine.settings.journal).await?;
    lacks.extend((!missing.is_empty()).then(|| format!("the account lacks privileges: {}", missing.join("; "))));
    connection.close().await?;
    // Whoever began between the last look before the start and the fence has changed what the backup does not hold.
    lacks.extend(backup_counts::changed_since(work, &*work.plan().await?).await?);
    if !lacks.is_empty() {
        let undo = SteeringAction::Rollback.annotation();
        let message =
            format!("the backup cannot be put back: {}; {undo} takes every change back instead", lacks.join("; "));
        return Err(Error::new(Cause::RollbackIncomplete, message));
    }
    counted(work, &schema).await
}

async fn counted(work: &Work, schema: &Identifier) -> Result<Loss, Error> {
    let baseline = baseline(work).await?;
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let counted = work
        .stoppable(&mut connection, "counting what the backup would lose", async |connection| {
            loss::count(connection, schema, baseline.as_ref().map_err(Clone::clone)).await
        })
        .await;
    connection.close().await?;
    counted.map_err(|error| error.while_doing("counting what the backup would lose"))
}

/// What was counted just before the backup, which its Job carries; inside, why that is not known.
async fn baseline(work: &Work) -> Result<Result<Baseline, String>, Error> {
    let status = work.migration.status.clone().unwrap_or_default();
    let Some(BackupStatus { job: Some(name), .. }) = status.backup else {
        return Ok(Err("the status names no backup Job".to_owned()));
    };
    let known = status.jobs.iter().any(|job| job.purpose == JobPurpose::Backup && job.name == name);
    if !known {
        return Ok(Err(format!("the status does not know the Job {name}")));
    }
    let api: Api<Job> = Api::namespaced(work.context.client.clone(), &work.migration.namespace().unwrap_or_default());
    let job = api.get_opt(&name).await;
    let job = job.map_err(|error| Error::new(Cause::NotReady, format!("reading the backup Job {name}: {error}")))?;
    let Some(job) = job else { return Ok(Err(format!("the backup Job {name}, which carries the counts, is gone"))) };
    let text = job.annotations().get(backup_job::BASELINE);
    Ok(match text.map(|text| serde_json::from_str(text)) {
        Some(Ok(baseline)) => Ok(baseline),
        Some(Err(error)) => Err(format!("the counts that the backup Job {name} carries cannot be read: {error}")),
        None => Err(format!("the backup Job {name} lacks the row counts from before")),
    })
}

/// Makes room for the backup's tables.
///
/// # Errors
/// What the engine meets.
pub(super) async fn prepare(work: &Work, session: &Session, attempt: i32) -> Result<TaskResult, Error> {
    let schemas = put_back_names::schemas(&work.migration, attempt);
    let schemas = schemas.map_err(|why| Error::new(Cause::RollbackIncomplete, why))?;
    let in_place = session.prepare_restore(&schemas.restored, &schemas.kept, &work.progress, &work.stop).await?;
    Ok(TaskResult::RestorePrepared { in_place, schema: schemas.restored.as_str().to_owned() })
}

/// Puts the backup in place, unless more was written since than somebody approved to be lost.
///
/// # Errors
/// [`Cause::ApprovalExceeded`], or what the engine meets.
pub(super) async fn put_back(work: &Work, session: &Session) -> Result<TaskResult, Error> {
    if !session.is_put_back(&work.progress, &work.stop).await? {
        let lost = counted(work, &work.schema()?).await?.at_most();
        let most = work.allowance.max_rows.unwrap_or(0);
        if lost > most {
            return Err(Error::new(
                Cause::ApprovalExceeded,
                format!(
                    "by now up to {lost} rows would be lost, and the approval before RestoreBackup allows {most} (maxRows): nothing was put back"
                ),
            ));
        }
    }
    let report = session.put_back(&work.progress, &work.stop).await?;
    Ok(TaskResult::PutBack(Box::new(report)))
}
