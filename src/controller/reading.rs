//! The tasks that only read: preflight, planning, validation, and the last look before the first change.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use crate::api::SchemaMigrationSpec;
use crate::api::backup::BackupType;
use crate::api::conditions::shortened;
use crate::api::digest;
use crate::api::gates::OnFailure;
use crate::api::spec::Mode;
use crate::api::status::{
    PlanCounts, PlanEstimates, PlanStatus, SoakBaseline, StageState, StageStatus, ValidationCount,
};
use crate::mysql::blast_radius;
use crate::mysql::catalogue::{read_catalogue, read_for_planning};
use crate::mysql::preflight::{self, PreflightLimits, Reader, parse_minimum_version};
use crate::mysql::replica_check;
use crate::mysql::topology;
use crate::mysql::{Cause, Error, SessionLimits};
use crate::mysql::{crash_safety, drift, statements, validation};
use crate::plan::catalogue::{Flavour, Server};
use crate::plan::model::{Action, LockClass, Section};
use crate::plan::statement_use::unacknowledged_replace;
use crate::plan::{Plan, Problem, TableName, build_with_templates, input, render};

use super::left_unfinished::plan_left;
use super::observe::templates;
use super::observed::TaskResult;
use super::work::Work;
use super::{plan_store, putting_back, soak_reading, verify_job};

/// Longest description of a cascade path in the status, in bytes.
const MAX_CASCADE: usize = 512;

/// Looks at the server and its replicas.
///
/// # Errors
/// When they do not meet `spec.preflight` or cannot be asked.
pub(super) async fn preflight(work: &Work) -> Result<TaskResult, Error> {
    let limits = limits(work)?;
    // Problems of the spec are told by the planning that follows, all of them at once.
    let tables = input::tables(&work.migration.spec).unwrap_or_default();
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let report = match topology::check_one_server(&work.engine.target, &connection).await {
        Ok(()) => preflight::preflight(&mut connection, &limits, &tables).await,
        Err(error) => Err(error),
    };
    connection.close().await?;
    let report = report?;
    refuse_unproven(&report.server)?;
    let following = check_replicas(work).await?;
    let mut server = report.server.version_text;
    if !following.is_empty() {
        server.push_str(&format!(", followed by {}", following.join(", ")));
    }
    for warning in report.warnings {
        server.push_str(&format!(" (note: {warning})"));
    }
    Ok(TaskResult::PreflightPassed { server })
}

fn limits(work: &Work) -> Result<PreflightLimits, Error> {
    let spec = &work.migration.spec;
    Ok(PreflightLimits {
        minimum_server_version: parse_minimum_version(&spec.preflight.minimum_server_version)?,
        max_active_sessions: u64::try_from(spec.preflight.max_active_sessions).unwrap_or(0),
        max_threads_running: u64::try_from(spec.preflight.max_threads_running).unwrap_or(0),
        max_transaction_age: spec.preflight.max_transaction_age.get(),
        schema: work.schema()?,
        journal: work.engine.settings.journal.clone(),
        kill_blockers: work.engine.settings.kill_blockers,
        puts_back: spec.rollback.on_failure == OnFailure::RestoreBackup,
    })
}

/// Looks at the replicas: one that the specification does not list holds the migration, because a schema change could stall it
/// unseen, and so does a listed one that cannot be read or does not keep up. Once more just before the first change. Gives those
/// that follow the server.
///
/// # Errors
/// [`Cause::ReplicaNotListed`], [`Cause::ReplicaNotReady`], or what the server answers.
pub(super) async fn check_replicas(work: &Work) -> Result<Vec<String>, Error> {
    let limits = limits(work)?;
    let tables = input::tables(&work.migration.spec).unwrap_or_default();
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let reporting = (&work.progress, &work.stop);
    let found = replica_check::check(&mut connection, &work.engine.replicas, &limits, &tables, reporting).await;
    connection.close().await?;
    let found = found?;
    no_unlisted(&found.unlisted)?;
    Ok(found.following)
}

fn no_unlisted(found: &[Reader]) -> Result<(), Error> {
    if found.is_empty() {
        return Ok(());
    }
    let places: Vec<&str> = found.iter().map(|reader| reader.place.as_str()).collect();
    let message = format!(
        "replicas read from this server that spec.database.replicas does not list ({}), and a schema change could stall them unseen: \
         list them, or stop them for the time of the migration (STOP REPLICA there). The migration goes on by itself once none is connected",
        places.join(", ")
    );
    Err(Error::new(Cause::ReplicaNotListed, message))
}

/// Refuses what the engine can work on, but not all that the operator does around it.
fn refuse_unproven(server: &Server) -> Result<(), Error> {
    if server.flavour == Flavour::MySql {
        return Ok(());
    }
    Err(Error::new(
        Cause::ServerUnsupported,
        format!(
            "the server is MariaDB ({}): this version's backup and the check that it is whole are not proven there, so nothing is begun; use MySQL \
             8.0.12 or later",
            server.version_text
        ),
    ))
}

/// Counts orphans and duplicates.
///
/// # Errors
/// When the server cannot be asked.
pub(super) async fn validate(work: &Work) -> Result<TaskResult, Error> {
    let plan = work.plan().await?;
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let what = "counting orphans and duplicates";
    let report =
        work.stoppable(&mut connection, what, async |connection| validation::validate(connection, &plan).await).await;
    connection.close().await?;
    let report = report?;
    let stops = report.check().err().map(Arc::new);
    let lines = report
        .findings
        .into_iter()
        .map(|finding| ValidationCount { issue_type: finding.issue_type, count: signed(finding.count) });
    Ok(TaskResult::Validated { report: lines.collect(), stops })
}

/// Computes and stores the plan.
///
/// # Errors
/// When catalogue, templates or ConfigMaps cannot be read or written.
pub(super) async fn plan(work: &Work) -> Result<TaskResult, Error> {
    let namespace = work.migration.namespace().unwrap_or_default();
    let spec = &work.migration.spec;
    let not_ready = |message: String| Error::new(Cause::NotReady, message);
    let templates = templates(&work.context, &work.migration, &namespace)
        .await
        .map_err(|error| not_ready(error.to_string()))?
        .map_err(not_ready)?;
    let problems = |found: Vec<Problem>| {
        TaskResult::PlanProblems(found.into_iter().map(|problem| (problem.path, problem.message)).collect())
    };
    let tables = match input::tables(spec) {
        Ok(tables) => tables,
        Err(found) => return Ok(problems(found)),
    };
    if spec.mode == Mode::Apply {
        let content = digest::content_digest(spec, &templates).map_err(|error| not_ready(error.to_string()))?;
        if let Some((plan, left)) = plan_left(work, &content).await? {
            return planned(work, &plan, Some(left), None).await;
        }
    }
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let catalogue = read_for_planning(&mut connection, &work.schema()?, &tables).await?;
    let mut plan = match build_with_templates(spec, &templates, &catalogue) {
        Ok(plan) => plan,
        Err(found) => return Ok(problems(found)),
    };
    let touched: Vec<TableName> = plan.touched().into_iter().cloned().collect();
    let seen = statements::read(&mut connection, &touched, plan.server.lower_case_table_names).await?;
    let mut found = unacknowledged_replace(spec, &plan, &seen);
    found.extend(not_rehearsable(spec, &plan)?);
    found.extend(putting_back::problems(work, &mut connection, &plan).await?);
    if !found.is_empty() {
        return Ok(problems(found));
    }
    let warnings = seen.warnings(&plan);
    plan.warnings.extend(warnings);
    if spec.backup.backup_type == BackupType::VolumeSnapshot {
        plan.warnings.extend(crash_safety::warnings(&mut connection, &work.schema()?).await?);
    }
    blast_radius::measure(&mut connection, &catalogue, &mut plan, blast_radius::EXACT_LIMIT).await?;
    let baseline = soak_reading::begin(work, &mut connection, &plan, &touched).await?;
    connection.close().await?;
    planned(work, &plan, None, baseline).await
}

/// Stores the plan.
async fn planned(
    work: &Work,
    plan: &Plan,
    left: Option<String>,
    baseline: Option<SoakBaseline>,
) -> Result<TaskResult, Error> {
    let stored = plan_store::store(&work.context.client, &work.migration, plan).await;
    let config_maps = stored.map_err(|message| Error::new(Cause::NotReady, message))?;
    let status = PlanStatus {
        digest: plan.digest.clone(),
        config_maps,
        generation: work.migration.metadata.generation.unwrap_or(0),
        computed_at: Time(Timestamp::now()),
        counts: counts(plan),
        estimates: estimates(plan),
        warnings: plan.warnings.clone(),
    };
    Ok(TaskResult::Planned {
        status: Box::new(status),
        server_uuid: plan.server.server_uuid.clone(),
        content_digest: plan.content_digest.clone(),
        stages: stages(plan),
        operations: signed(plan.operations.len() as u64),
        left,
        baseline,
    })
}

/// What of a plan cannot be rehearsed on the restored copy, which holds one schema.
fn not_rehearsable(spec: &SchemaMigrationSpec, plan: &Plan) -> Result<Option<Problem>, Error> {
    if !spec.rehearsal.enabled {
        return Ok(None);
    }
    let elsewhere: Vec<String> =
        plan.touched().into_iter().filter(|table| table.schema != plan.schema).map(ToString::to_string).collect();
    if !elsewhere.is_empty() {
        let message = format!(
            "the backup holds the schema {} alone, and the plan needs tables of others too ({}): set rehearsal.enabled false",
            plan.schema,
            elsewhere.join(", ")
        );
        return Ok(Some(Problem::new("spec.rehearsal.enabled", message)));
    }
    let length = verify_job::instructions(spec, &plan.digest)?.len();
    let message = format!(
        "the scenarios take {length} bytes, and at most {} can be handed to the Job of the rehearsal: make them shorter, or set \
         rehearsal.enabled false",
        verify_job::MAX_INSTRUCTIONS
    );
    Ok((length > verify_job::MAX_INSTRUCTIONS).then(|| Problem::new("spec.tests.scenarios", message)))
}

/// What the catalogue shows otherwise than the plan's before-images; `None`: nothing.
///
/// # Errors
/// When the catalogue cannot be read.
pub(super) async fn drift(work: &Work, plan: &Plan) -> Result<Option<String>, Error> {
    // Not from the names in `tables`: both parts of one may hold a dot.
    let tables: Vec<TableName> = plan.touched().into_iter().cloned().collect();
    let mut connection = work.engine.target.connect(SessionLimits::default()).await?;
    let server_uuid = connection.server_uuid.clone();
    let catalogue = read_catalogue(&mut connection, &plan.schema, &tables).await;
    connection.close().await?;
    let catalogue = catalogue?;
    // A plan that is the same on another server is stored but once, with the server that it was first made on.
    let status = work.migration.status.as_ref();
    let known = status.and_then(|status| status.server_uuid.as_deref()).unwrap_or(&plan.server.server_uuid);
    if server_uuid != known {
        return Ok(Some(format!("the server {server_uuid} answers, but {known} was planned for")));
    }
    Ok(drift::since_planned(plan, &catalogue))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn counts(plan: &Plan) -> PlanCounts {
    let of =
        |wanted: fn(&Action) -> bool| signed(plan.operations.iter().filter(|each| wanted(&each.action)).count() as u64);
    PlanCounts {
        operations: signed(plan.operations.len() as u64),
        tables: signed(plan.changed().len() as u64),
        type_fixes: of(|action| {
            matches!(action, Action::AddColumn { .. } | Action::ModifyColumn { .. } | Action::Sql(_))
        }),
        unique_constraints: of(|action| matches!(action, Action::AddUnique { .. })),
        indexes: of(|action| matches!(action, Action::AddIndex { .. })),
        foreign_keys: of(|action| matches!(action, Action::AddForeignKey { .. })),
        adopted: signed(plan.adopted.len() as u64),
        copies: signed(plan.operations.iter().filter(|operation| operation.lock == LockClass::Copy).count() as u64),
    }
}

fn estimates(plan: &Plan) -> PlanEstimates {
    let sum = |of: fn(&crate::plan::model::Estimate) -> u64| {
        signed(plan.operations.iter().map(|each| of(&each.estimate)).sum())
    };
    let worst = plan.cascades.iter().max_by_key(|path| path.reach.rows());
    PlanEstimates {
        rows: sum(|estimate| estimate.rows),
        bytes: sum(|estimate| estimate.bytes),
        duration_seconds: sum(|estimate| estimate.milliseconds).saturating_add(999) / 1000,
        rehearsed_seconds: None,
        worst_cascade_rows: worst.and_then(|path| path.reach.rows()).map(signed),
        worst_cascade: worst.map(|path| shortened(render::cascade(path), MAX_CASCADE)),
    }
}

fn stages(plan: &Plan) -> Vec<StageStatus> {
    plan.stages
        .iter()
        .enumerate()
        .map(|(index, stage)| StageStatus {
            name: stage.name.clone(),
            state: StageState::Pending,
            foreign_keys: signed(
                plan.operations
                    .iter()
                    .filter(|each| {
                        each.section == Section::Stage(index) && matches!(each.action, Action::AddForeignKey { .. })
                    })
                    .count() as u64,
            ),
            added: 0,
            verified: 0,
            started: None,
            finished: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::plan::catalogue::Version;

    #[test]
    fn replicas_that_are_not_listed_are_named_with_the_way_out() {
        assert!(no_unlisted(&[]).is_ok());
        let reader = Reader { place: "10.0.0.7 (account replicator)".to_owned(), server_uuid: None };
        let error = no_unlisted(&[reader]).err();
        assert!(error.is_some_and(|error| {
            error.cause == Cause::ReplicaNotListed
                && error.message.contains("10.0.0.7 (account replicator)")
                && error.message.contains("STOP REPLICA")
        }));
    }

    #[test]
    fn a_server_that_only_the_engine_is_proven_on_is_refused_before_anything_is_done() {
        let mut server = Server {
            flavour: Flavour::MariaDb,
            version: Version { major: 10, minor: 11, patch: 18 },
            version_text: "10.11.18-MariaDB".to_owned(),
            server_uuid: String::new(),
            native_foreign_keys: true,
            lower_case_table_names: 0,
            settings: Default::default(),
        };
        let error = refuse_unproven(&server).unwrap_err();
        assert!(error.cause == Cause::ServerUnsupported && error.message.contains("10.11.18-MariaDB"), "{error}");
        server.flavour = Flavour::MySql;
        refuse_unproven(&server).unwrap();
    }

    fn rehearsing(scenario: &str, parent: &str) -> (SchemaMigrationSpec, Plan) {
        let mut spec = serde_json::to_value(crate::api::example::spec()).unwrap();
        spec["rehearsal"] = json!({"enabled": true});
        spec["tests"] = json!({"scenarios": [{"name": "s", "steps": [{"sql": scenario}]}]});
        let key = json!({"name": "fk", "child": {"schema": "shop", "table": "bookmarks"}, "columns": ["county"],
            "parent": {"schema": parent, "table": "counties"}, "parent_columns": ["id"], "on_delete": "Restrict", "on_update": "NoAction"});
        let plan = json!({"format": 1, "digest": "", "content_digest": "", "schema": "shop", "tables": {}, "operations": [],
            "adopted": [key], "stages": [], "warnings": [], "server": {"flavour": "MySql", "version": {"major": 9, "minor": 7, "patch": 0},
                "version_text": "9.7.0", "server_uuid": "s", "native_foreign_keys": false, "lower_case_table_names": 0}});
        (serde_json::from_value(spec).unwrap(), serde_json::from_value(plan).unwrap())
    }

    #[test]
    fn a_plan_that_the_copy_cannot_show_is_refused_with_the_way_out() {
        let (mut spec, plan) = rehearsing("SELECT 1", "shop");
        assert_eq!(not_rehearsable(&spec, &plan).unwrap(), None);
        let (_, elsewhere) = rehearsing("SELECT 1", "geography");
        let problem = not_rehearsable(&spec, &elsewhere).unwrap().unwrap();
        assert_eq!(problem.path, "spec.rehearsal.enabled");
        assert!(problem.message.contains("geography.counties") && problem.message.contains("rehearsal.enabled false"));
        spec.rehearsal.enabled = false;
        assert_eq!(not_rehearsable(&spec, &elsewhere).unwrap(), None);
        let (spec, plan) = rehearsing(&"x".repeat(verify_job::MAX_INSTRUCTIONS), "shop");
        let problem = not_rehearsable(&spec, &plan).unwrap().unwrap();
        assert!(problem.path == "spec.tests.scenarios" && problem.message.contains("200000"), "{problem}");
    }
}
