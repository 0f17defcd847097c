//! `approve` and `deny`: show what waits for a decision, ask, and create the MigrationApproval in the name of the user whom the API
//! server knows.

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use super::approval_page::{self, Decision};
use super::connection::{Cluster, failed};
use super::failure::Failure;
use super::plan;
use super::standing::{self, before, command, names_a_backup, waits_for_approval};
use super::terminal::{Style, confirm, print};
use crate::api::approval::{ApprovalDecision, ExternalSnapshot, MigrationReference};
use crate::api::digest::of_json;
use crate::api::gates::{Before, GatePoint, GatedPhase};
use crate::api::status::{GateState, GateStatus, SchemaMigrationStatus};
use crate::api::{CLI_FIELD_MANAGER, MigrationApproval, MigrationApprovalSpec, Reason, SchemaMigration};

/// Longest name of an object.
const MAX_NAME: usize = 253;

/// What both decisions are told.
#[derive(Debug, Clone, clap::Args)]
pub struct Deny {
    /// Name of the SchemaMigration.
    name: String,
    /// The gate: a phase (CleanUp, Copy, Complete, ...), a stage's name, or stage/NAME where a stage is named as a phase.
    #[arg(long, value_name = "PHASE|STAGE")]
    before: String,
    /// Why, for those who read it later.
    #[arg(long)]
    reason: Option<String>,
    /// Decide only if the plan that waits has this digest, such as the one that a pipeline has shown.
    #[arg(long, value_name = "DIGEST")]
    plan_digest: Option<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// Arguments of `approve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Approve {
    #[command(flatten)]
    common: Deny,
    /// Before CleanUp: the most rows that cleanup may take to quarantine; if it needs more, the gate closes again. Left out: as many as
    /// validation found, which needs a person's yes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    max_rows: Option<i64>,
    /// Before BackUp, with a backup of type External: the id of the backup that was made elsewhere and is complete.
    #[arg(long, value_name = "ID", requires = "snapshot_taken_at")]
    snapshot: Option<String>,
    /// When it was taken, such as 2026-11-20T02:00:00Z: the moment whose data it holds.
    #[arg(long, value_name = "TIME", requires = "snapshot")]
    snapshot_taken_at: Option<Timestamp>,
}

/// What an approval allows or names beyond its gate.
#[derive(Debug, Default)]
struct Details {
    max_rows: Option<i64>,
    snapshot: Option<ExternalSnapshot>,
}

/// Approves what waits.
///
/// # Errors
/// When nothing waits for that gate, the person does not agree, or the API server refuses.
pub async fn approve(cluster: &Cluster, arguments: &Approve) -> Result<(), Failure> {
    let snapshot = arguments.snapshot.clone().zip(arguments.snapshot_taken_at);
    let snapshot = snapshot.map(|(id, taken_at)| ExternalSnapshot { id, taken_at: Time(taken_at) });
    let details = Details { max_rows: arguments.max_rows, snapshot };
    decide(cluster, &arguments.common, ApprovalDecision::Approve, details).await
}

/// Denies what waits.
///
/// # Errors
/// As [`approve`].
pub async fn deny(cluster: &Cluster, arguments: &Deny) -> Result<(), Failure> {
    decide(cluster, arguments, ApprovalDecision::Deny, Details::default()).await
}

async fn decide(
    cluster: &Cluster,
    arguments: &Deny,
    decision: ApprovalDecision,
    details: Details,
) -> Result<(), Failure> {
    let migration = cluster.migration(&arguments.name).await?;
    let status = standing::status(&migration);
    let point = point(&migration, &arguments.before)?;
    let gate = waiting_gate(&migration, &status, point)?;
    let plan = plan::stored(cluster, &migration).await?;
    if let Some(wanted) = arguments.plan_digest.as_ref().filter(|wanted| **wanted != plan.digest) {
        return Err(Failure::no(format!(
            "the plan that waits is {}, not {wanted}: read it with {} before deciding",
            plan.digest,
            command(&migration, "plan", "")
        )));
    }
    let max_rows = match decision {
        ApprovalDecision::Approve => rows(&status, gate, details.max_rows, arguments.yes)?,
        ApprovalDecision::Deny => None,
    };
    let snapshot = match decision {
        ApprovalDecision::Approve => snapshot(&migration, gate, details.snapshot)?,
        ApprovalDecision::Deny => None,
    };
    let user = whoami(cluster).await?;
    let reason = arguments.reason.as_deref();
    let shown = Decision {
        migration: &migration,
        status: &status,
        plan: &plan,
        gate,
        decision,
        max_rows,
        snapshot: snapshot.as_ref(),
        user: &user,
        reason,
    };
    print(&approval_page::page(shown, Style::of_standard_output()))?;
    let question = match decision {
        ApprovalDecision::Approve => "\nApprove it?",
        ApprovalDecision::Deny => "\nDeny it?",
    };
    confirm(question, "yes", arguments.yes)?;
    let spec = MigrationApprovalSpec {
        migration_ref: MigrationReference { name: migration.name_any(), uid: migration.metadata.uid.clone() },
        before: Before::from(point),
        decision,
        plan_digest: plan.digest.clone(),
        max_rows,
        approved_by: user,
        reason: arguments.reason.clone(),
        snapshot,
    };
    let done = match decision {
        ApprovalDecision::Approve => "approved",
        ApprovalDecision::Deny => "denied",
    };
    let name = create(cluster, &migration, spec).await?;
    print(&format!(
        "\n{done} with the MigrationApproval {name}; {} shows what follows\n",
        command(&migration, "status", "--watch")
    ))
}

/// What `--before` means for a migration.
fn point<'a>(migration: &'a SchemaMigration, text: &'a str) -> Result<GatePoint<'a>, Failure> {
    let stage = |name: &str| migration.spec.stages.iter().map(|stage| stage.name.as_str()).find(|known| *known == name);
    if let Some(name) = text.strip_prefix("stage/") {
        if let Some(name) = stage(name) {
            return Ok(GatePoint::Stage(name));
        }
    } else if let Some(phase) = GatedPhase::ALL.iter().find(|phase| phase.as_str().eq_ignore_ascii_case(text)) {
        return Ok(GatePoint::Phase(*phase));
    } else if let Some(name) = stage(text) {
        return Ok(GatePoint::Stage(name));
    }
    let phases: Vec<&str> = GatedPhase::ALL.iter().map(|phase| phase.as_str()).collect();
    let stages: Vec<&str> = migration.spec.stages.iter().map(|stage| stage.name.as_str()).collect();
    Err(Failure::usage(format!(
        "--before {text}: write a phase ({}) or a stage of {} ({})",
        phases.join(", "),
        migration.name_any(),
        if stages.is_empty() { "it has none".to_owned() } else { stages.join(", ") }
    )))
}

/// The gate before a point, which waits for an approval.
fn waiting_gate<'a>(
    migration: &SchemaMigration,
    status: &'a SchemaMigrationStatus,
    point: GatePoint<'_>,
) -> Result<&'a GateStatus, Failure> {
    let gate = status.gates.iter().find(|gate| gate.before == Before::from(point));
    if let Some(gate) = gate.filter(|gate| waits_for_approval(gate)) {
        return Ok(gate);
    }
    let here = match gate {
        Some(gate) => {
            let message =
                gate.message.clone().filter(|message| !message.is_empty()).unwrap_or_else(|| gate.reason.clone());
            match (gate.state, Reason::from_name(&gate.reason)) {
                (GateState::Open, _) => format!("the gate before {point} is open: {message}"),
                (_, Some(Reason::OutsideWindow)) => {
                    format!("the gate before {point} waits for its window, not for an approval: {message}")
                }
                _ => message,
            }
        }
        None => format!("nothing waits for an approval before {point}"),
    };
    let waiting: Vec<String> = status.gates.iter().filter(|gate| waits_for_approval(gate)).map(before).collect();
    let elsewhere = if waiting.is_empty() {
        let standing = standing::standing(migration);
        format!(
            "no gate of {} waits for an approval now; it stands at {}: {}",
            migration.name_any(),
            standing.word,
            standing.now
        )
    } else {
        format!("what waits: --before {}", waiting.join(", --before "))
    };
    Err(Failure::no(format!("{here}; {elsewhere}")))
}

/// The rows that an approval allows to cleanup.
fn rows(
    status: &SchemaMigrationStatus,
    gate: &GateStatus,
    given: Option<i64>,
    yes: bool,
) -> Result<Option<i64>, Failure> {
    match gate.before.phase {
        Some(GatedPhase::CleanUp) => {}
        Some(GatedPhase::RestoreBackup) => return rows_lost(status, gate, given).map(Some),
        _ if given.is_some() => {
            return Err(Failure::usage(
                "--max-rows limits what cleanup takes, or what the backup loses, and is told before CleanUp and RestoreBackup only: leave it \
                 out here",
            ));
        }
        _ => return Ok(None),
    }
    let found: i64 = status.validation.iter().filter(|line| line.is_of_a_rule()).map(|line| line.count).sum();
    let again = gate.reason == Reason::MoreRowsThanApproved.as_str();
    let met = gate.approval.as_ref().and_then(|approval| approval.max_rows).filter(|_| again);
    let needed = found.max(met.map_or(0, |met| met.saturating_add(1)));
    match given {
        Some(given) if given < needed => Err(Failure::usage(format!(
            "--max-rows {given} would keep the gate closed, since cleanup needs {needed} or more: {}",
            gate.message.clone().unwrap_or_default()
        ))),
        Some(given) => Ok(Some(given)),
        None if again => Err(Failure::usage(format!(
            "say with --max-rows how many rows cleanup may take, {needed} or more: {}",
            gate.message.clone().unwrap_or_default()
        ))),
        None if found > 0 && yes => Err(Failure::usage(format!(
            "with --yes, say how many rows cleanup may take: --max-rows {found} or more, since validation found {found}"
        ))),
        None => Ok((found > 0).then_some(found)),
    }
}

/// The rows that an approval of the backup's restore allows to be lost. Nobody loses what was not named.
fn rows_lost(status: &SchemaMigrationStatus, gate: &GateStatus, given: Option<i64>) -> Result<i64, Failure> {
    let put_back = status.rollback.as_ref().and_then(|rollback| rollback.put_back.as_ref());
    let Some(needed) = put_back.and_then(|put_back| put_back.loss.as_ref()).map(|loss| loss.rows) else {
        return Err(Failure::no("what would be lost is being counted: wait until the status says it"));
    };
    match given {
        Some(given) if given >= needed => Ok(given),
        _ => Err(Failure::usage(format!(
            "say with --max-rows how many rows may be lost, {needed} or more: {}",
            gate.message.clone().unwrap_or_default()
        ))),
    }
}

/// The backup that an approval names.
fn snapshot(
    migration: &SchemaMigration,
    gate: &GateStatus,
    given: Option<ExternalSnapshot>,
) -> Result<Option<ExternalSnapshot>, Failure> {
    match (names_a_backup(migration, gate), given) {
        (true, None) => Err(Failure::usage(
            "the backup is made elsewhere: name it with --snapshot and --snapshot-taken-at once it is complete",
        )),
        (false, Some(_)) => Err(Failure::usage(
            "--snapshot names a backup of type External, and is told before BackUp only: leave it out here",
        )),
        (_, given) => Ok(given),
    }
}

/// The name under which the API server knows the user.
async fn whoami(cluster: &Cluster) -> Result<String, Failure> {
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let review = review.map_err(|error| failed("asking the API server who you are", &error))?;
    let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    user.ok_or_else(|| Failure::unavailable("the API server does not say who you are: use a context with a user"))
}

/// The name of the approval: the same decision about the same plan has the same one, so that it is made once.
fn name(migration: &SchemaMigration, spec: &MigrationApprovalSpec) -> Result<String, Failure> {
    let subject = (&spec.migration_ref, &spec.before, spec.decision, &spec.plan_digest, spec.max_rows, &spec.snapshot);
    let digest = of_json(&subject).map_err(|error| Failure::no(format!("the approval cannot be named: {error}")))?;
    let short: String = digest.trim_start_matches("sha256:").chars().take(8).collect();
    let step = spec
        .before
        .phase
        .map(|phase| phase.as_str().to_owned())
        .or_else(|| spec.before.stage.clone())
        .unwrap_or_default();
    let step: String = step.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let verb = match spec.decision {
        ApprovalDecision::Approve => "approve",
        ApprovalDecision::Deny => "deny",
    };
    let tail = format!("-{verb}-{step}-{short}");
    let head: String = migration.name_any().chars().take(MAX_NAME - tail.len()).collect();
    Ok(format!("{}{tail}", head.trim_end_matches(['-', '.'])))
}

async fn create(
    cluster: &Cluster,
    migration: &SchemaMigration,
    spec: MigrationApprovalSpec,
) -> Result<String, Failure> {
    let name = name(migration, &spec)?;
    let api: Api<MigrationApproval> = cluster.api();
    let parameters = PostParams { field_manager: Some(CLI_FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let doing = format!("creating the MigrationApproval {name}");
    match api.create(&parameters, &MigrationApproval::new(&name, spec.clone())).await {
        Ok(_) => Ok(name),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let present = api.get(&name).await.map_err(|error| failed(&doing, &error))?;
            if present.spec.decision == spec.decision
                && present.spec.plan_digest == spec.plan_digest
                && present.spec.max_rows == spec.max_rows
                && present.spec.snapshot == spec.snapshot
            {
                print(&format!("\nthe same decision was made already, by {}\n", present.spec.approved_by))?;
                return Ok(name);
            }
            Err(Failure::no(format!(
                "{doing}: another one has this name; delete it: kubectl delete migrationapproval {name} --namespace {}",
                cluster.namespace
            )))
        }
        Err(error) => Err(failed(&doing, &error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;
    use crate::cli::example::waiting;

    #[test]
    fn a_gate_is_named_as_phase_or_stage_and_a_wrong_name_lists_them() {
        let migration = waiting();
        assert_eq!(point(&migration, "cleanup").unwrap(), GatePoint::Phase(GatedPhase::CleanUp));
        assert_eq!(point(&migration, "stage/users").unwrap(), GatePoint::Stage("users"));
        assert_eq!(point(&migration, "users").unwrap(), GatePoint::Stage("users"));
        let failure = point(&migration, "Cleaning").unwrap_err();
        assert!(failure.message.contains("CleanUp") && failure.message.contains("(users, remaining)"), "{failure}");
    }

    #[test]
    fn what_does_not_wait_is_refused_with_what_does() {
        let migration = waiting();
        let status = standing::status(&migration);
        assert!(waiting_gate(&migration, &status, GatePoint::Phase(GatedPhase::CleanUp)).is_ok());
        let failure = waiting_gate(&migration, &status, GatePoint::Phase(GatedPhase::Complete)).unwrap_err();
        assert_eq!(
            failure.message,
            "nothing waits for an approval before Complete; what waits: --before CleanUp, --before Copy"
        );
        let mut status = status;
        status.gates[0].state = GateState::Open;
        status.gates[0].message = Some("approved by alice".to_owned());
        let failure = waiting_gate(&migration, &status, GatePoint::Phase(GatedPhase::CleanUp)).unwrap_err();
        assert!(
            failure
                .message
                .starts_with("the gate before CleanUp is open: approved by alice; what waits: --before Copy"),
            "{failure}"
        );
        status.gates[0].state = GateState::Closed;
        status.gates[0].reason = Reason::ApprovalPolicyMissing.as_str().to_owned();
        assert!(waiting_gate(&migration, &status, GatePoint::Phase(GatedPhase::CleanUp)).is_err());
    }

    #[test]
    fn rows_are_those_found_unless_a_script_approves_or_cleanup_needed_more() {
        let mut status = standing::status(&waiting());
        let mut gate = status.gates[0].clone();
        assert_eq!(rows(&status, &gate, None, false).unwrap(), Some(1_237));
        assert_eq!(rows(&status, &gate, Some(2_000), true).unwrap(), Some(2_000));
        assert!(rows(&status, &gate, None, true).unwrap_err().message.contains("--max-rows 1237 or more"));
        assert!(rows(&status, &gate, Some(5), false).unwrap_err().message.contains("cleanup needs 1237 or more"));
        gate.reason = Reason::MoreRowsThanApproved.as_str().to_owned();
        gate.approval = serde_json::from_value(json!({"name": "a", "decision": "Approve", "approvedBy": "x", "planDigest": "d", "maxRows": 2000, "at": "2026-11-24T10:00:00Z"})).unwrap();
        assert!(rows(&status, &gate, None, false).unwrap_err().message.contains("2001 or more"));
        assert!(rows(&status, &gate, Some(2_000), false).is_err());
        gate.reason = Reason::ApprovalPending.as_str().to_owned();
        status.validation.clear();
        assert_eq!(rows(&status, &gate, None, true).unwrap(), None);
        gate.before = GatedPhase::Copy.into();
        assert!(
            rows(&status, &gate, Some(1), false).unwrap_err().message.contains("before CleanUp and RestoreBackup only")
        );
        assert_eq!(rows(&status, &gate, None, false).unwrap(), None);
    }

    #[test]
    fn rows_that_the_backup_loses_are_named_by_whoever_approves() {
        let mut status = standing::status(&waiting());
        let mut gate = status.gates[0].clone();
        gate.before = GatedPhase::RestoreBackup.into();
        gate.message = Some("what is lost".to_owned());
        status.rollback =
            serde_json::from_value(json!({"reason": "TestsFailed", "message": "m", "failedPhase": "Test",
            "strategy": "RestoreBackup", "startedAt": "2026-11-24T10:00:00Z", "undone": 0, "tablesIdentical": 0,
            "putBack": {"loss": {"countedAt": "2026-11-24T10:00:00Z", "rows": 7, "tables": 1}}}))
            .unwrap();
        for given in [None, Some(6)] {
            let failure = rows(&status, &gate, given, false).unwrap_err();
            assert!(failure.message.contains("7 or more: what is lost"), "{failure}");
        }
        assert_eq!(rows(&status, &gate, Some(7), true).unwrap(), Some(7));
        // What nobody has counted nobody approves.
        status.rollback = None;
        assert!(rows(&status, &gate, Some(1_000_000), false).is_err());
    }

    #[test]
    fn a_backup_is_named_where_it_was_made_elsewhere_and_nowhere_else() {
        let mut migration = waiting();
        let mut gate = standing::status(&migration).gates[0].clone();
        let given = ExternalSnapshot { id: "rds:shop".to_owned(), taken_at: Time(Timestamp::UNIX_EPOCH) };
        gate.before = GatedPhase::BackUp.into();
        assert!(snapshot(&migration, &gate, Some(given.clone())).unwrap_err().message.contains("leave it out"));
        assert_eq!(snapshot(&migration, &gate, None).unwrap(), None);
        migration.spec.backup.backup_type = crate::api::backup::BackupType::External;
        assert_eq!(snapshot(&migration, &gate, Some(given.clone())).unwrap(), Some(given.clone()));
        assert!(snapshot(&migration, &gate, None).unwrap_err().message.contains("--snapshot-taken-at"));
        gate.before = GatedPhase::CleanUp.into();
        assert!(snapshot(&migration, &gate, Some(given)).is_err());
    }

    #[test]
    fn the_same_decision_has_the_same_name_and_another_one_another() {
        let migration = waiting();
        let spec = |max_rows, decision| MigrationApprovalSpec {
            migration_ref: MigrationReference { name: migration.name_any(), uid: None },
            before: GatePoint::Stage("First Stage").into(),
            decision,
            plan_digest: "sha256:0".to_owned(),
            max_rows,
            approved_by: "alice".to_owned(),
            reason: None,
            snapshot: None,
        };
        let approve = name(&migration, &spec(Some(1), ApprovalDecision::Approve)).unwrap();
        assert!(approve.starts_with("referential-integrity-approve-first-stage-"), "{approve}");
        assert_eq!(approve, name(&migration, &spec(Some(1), ApprovalDecision::Approve)).unwrap());
        assert_ne!(approve, name(&migration, &spec(Some(2), ApprovalDecision::Approve)).unwrap());
        assert_ne!(approve, name(&migration, &spec(Some(1), ApprovalDecision::Deny)).unwrap());
        let mut long = migration.clone();
        long.metadata.name = Some("a-".repeat(126));
        assert!(name(&long, &spec(None, ApprovalDecision::Approve)).unwrap().len() <= MAX_NAME);
    }
}
