//! The parts of the report that are a name and a value each: backup, rehearsal, tests, quarantine, limits, evidence, steering.

use super::model::{Fact, Slow};
use super::words::{fact, known, moment, took, u};
use crate::api::SchemaMigration;
use crate::api::duration::Retention;
use crate::api::status::{JobState, PutBackStatus, SchemaMigrationStatus, SoakStatus};
use crate::cli::bars::counted;
use crate::cli::board::shown;
use crate::cli::standing;
use crate::controller::soak::described;
use crate::evidence::Signed;
use crate::plan::Plan;
use crate::plan::model::LockClass;
use crate::plan::render::{bytes, grouped};

/// Operations of one kind that are named.
const NAMED: usize = 10;

/// The backup and its restore.
pub(super) fn backup(migration: &SchemaMigration, status: &SchemaMigrationStatus) -> Vec<Fact> {
    let Some(backup) = &status.backup else { return Vec::new() };
    let of = |number: i64, noun: &str| counted(u(number), noun);
    let size = backup.bytes.map(|size| bytes(u(size)));
    let holds =
        backup.tables.zip(backup.rows).map(|(tables, rows)| format!("{}, {}", of(tables, "table"), of(rows, "row")));
    let progress = backup.progress.as_ref().map(|progress| {
        let left = progress.seconds_left.map(|left| format!(", about {} left", took(u(left) * 1_000)));
        format!(
            "{} of {} tables, {} of {} rows, {}{}",
            grouped(u(progress.tables)),
            grouped(u(progress.tables_in_all)),
            grouped(u(progress.rows)),
            grouped(u(progress.rows_in_all)),
            bytes(u(progress.bytes)),
            left.unwrap_or_default()
        )
    });
    let restored = backup.restore.as_ref().map(|restore| {
        let lossy = match restore.lossy_columns {
            0 => String::new(),
            some => format!("; {} hold six digits only: {}", of(some, "FLOAT column"), restore.lossy.join(", ")),
        };
        format!(
            "{}, {} and {} compared in {} with server {}{lossy}",
            of(restore.tables, "table"),
            of(restore.rows, "row"),
            of(restore.objects, "other object"),
            took(standing::elapsed(restore.started_at.0, restore.finished_at.0)),
            restore.server_version
        )
    });
    let removal = backup.removal.as_ref().and_then(|removal| {
        let left = removal.message.as_ref().map(|message| format!("; {message}")).unwrap_or_default();
        match (&removal.removed_at, &removal.due_at) {
            (Some(at), _) => Some(format!("deleted at {}{left}", moment(at.0))),
            (None, Some(at)) => Some(format!("due at {}{left}", moment(at.0))),
            (None, None) => None,
        }
    });
    [
        known(
            "Type",
            Some(format!(
                "{:?}, verification {:?}",
                migration.spec.backup.backup_type, migration.spec.backup.verification
            )),
        ),
        known("Data as of", backup.taken_at.as_ref().map(|at| moment(at.0))),
        known("Ready", backup.finished_at.as_ref().map(|at| moment(at.0))),
        known("Where", backup.location.clone()),
        known("So far", progress),
        known("Size", size),
        known("Holds", holds),
        known("Proven by", backup.verified.map(|verified| format!("{verified:?}"))),
        known("Restored", restored),
        known("SHA-256", backup.sha256.clone()),
        known("Deletion", removal),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The run on the restored copy.
pub(super) fn rehearsal(status: &SchemaMigrationStatus) -> Vec<Fact> {
    let Some(rehearsal) = &status.rehearsal else { return Vec::new() };
    let result = match (rehearsal.passed, standing::rehearsal(status)) {
        (Some(true), Some(passed)) => format!("passed: {}", standing::rehearsed(passed)),
        (Some(true), None) => "passed, with another plan than the one of now: it counts for nothing".to_owned(),
        (Some(false), _) => format!(
            "failed ({}): {}",
            rehearsal.reason.as_deref().unwrap_or_default(),
            rehearsal.message.as_deref().unwrap_or_default()
        ),
        (None, _) => "runs".to_owned(),
    };
    let identical = rehearsal.identical.map(|same| match same {
        true => "every definition and row was as before once all was taken back",
        false => "something was not as before once all was taken back",
    });
    [
        known("Result", Some(result)),
        known("Began", Some(moment(rehearsal.started_at.0))),
        known("Changes took", rehearsal.change_milliseconds.map(|took_it| took(u(took_it)))),
        known("Taking back took", rehearsal.undo_milliseconds.map(|took_it| took(u(took_it)))),
        known("Afterwards", identical),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Its operations that took longest.
pub(super) fn slowest(status: &SchemaMigrationStatus) -> Vec<Slow> {
    let slowest = standing::rehearsal(status).map(|rehearsal| rehearsal.slowest.as_slice()).unwrap_or_default();
    let slow = slowest.iter().map(|slow| Slow {
        operation: slow.operation.clone(),
        table: slow.table.clone(),
        lock: slow.lock.map(|lock| lock.to_string()),
        milliseconds: u(slow.milliseconds),
    });
    slow.collect()
}

/// Probes, scenarios and Jobs.
pub(super) fn tests(status: &SchemaMigrationStatus) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(tested) = &status.tested {
        facts.push(fact("Probes", format!("the delete action of {} was seen", counted(u(tested.probes), "key"))));
        facts.push(fact("Scenarios", format!("{} as they should go", grouped(u(tested.scenarios)))));
        if tested.unprobed > 0 {
            let named: Vec<String> =
                tested.unprobed_keys.iter().map(|key| format!("{} ({})", key.key, key.reason)).collect();
            let text = format!("{}: {}", counted(u(tested.unprobed), "key"), named.join("; "));
            facts.push(fact("Not probed", text));
        }
    }
    for job in &status.jobs {
        let state = match job.state {
            JobState::Running => "runs",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
        };
        let time =
            job.finished.as_ref().map(|ended| format!(" in {}", took(standing::elapsed(job.started.0, ended.0))));
        let said = job.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        let test = job.test.as_ref().map(|test| format!(" {test}")).unwrap_or_default();
        let try_ = if job.attempt > 1 { format!(", try {}", job.attempt) } else { String::new() };
        let text = format!("{}{try_}: {state}{}{said}", job.name, time.unwrap_or_default());
        facts.push(fact(&format!("Job {:?}{test}", job.purpose), text));
    }
    facts
}

/// What is kept.
pub(super) fn quarantine(migration: &SchemaMigration, status: &SchemaMigrationStatus) -> Vec<Fact> {
    let Some(kept) = &status.quarantine else { return Vec::new() };
    let mut facts = vec![
        fact("Rows without a parent", grouped(u(kept.orphans))),
        fact("Duplicate rows", grouped(u(kept.duplicates))),
        fact("Rows taken along by existing cascades", grouped(u(kept.cascaded))),
        fact("Values", grouped(u(kept.values))),
    ];
    facts.push(match &kept.purged_at {
        Some(at) => fact("Purged", format!("at {}: these can not be put back any more", moment(at.0))),
        None => fact(
            "Kept",
            match &migration.spec.quarantine.retention {
                Retention::Keep => "until somebody purges it".to_owned(),
                Retention::For(time) => format!("{time} after the end"),
            },
        ),
    });
    facts
}

/// Limits, lock classes and waits: how the application was pressed.
pub(super) fn pressure(migration: &SchemaMigration, status: &SchemaMigrationStatus, plan: Option<&Plan>) -> Vec<Fact> {
    let limits = &migration.spec.execution;
    let mut facts = vec![
        fact(
            "Nobody is held up longer than",
            format!("{} at a time, {} tries at most", limits.lock_timeout, limits.max_retries),
        ),
        fact(
            "Rows change in batches of",
            format!("{} rows, each within {}", limits.batch_rows, limits.target_batch_time),
        ),
    ];
    if let Some(soak) = &migration.spec.soak {
        let most = &soak.max_added_latency;
        let text = format!(
            "{} slower reads, {} slower writes, {} slower deletions, {} foreign key errors a minute, for {}",
            most.read, most.write, most.delete, soak.max_foreign_key_errors_per_minute, soak.duration
        );
        facts.push(fact("The soak allows", text));
    }
    facts.extend(status.soak.iter().flat_map(soaked));
    let Some(plan) = plan else { return facts };
    let classes = [
        (LockClass::Metadata, "Metadata only: an exclusive lock for an instant"),
        (LockClass::OnlineBuild, "Online: readers and writers go on"),
        (LockClass::Batched, "Batched: rows change in short transactions"),
        (LockClass::Copy, "COPY: writers of the table wait for the whole of it"),
    ];
    for (class, name) in classes {
        let of_class: Vec<_> = plan.operations.iter().filter(|operation| operation.lock == class).collect();
        if of_class.is_empty() {
            if class == LockClass::Copy {
                facts.push(fact(name, "none"));
            }
            continue;
        }
        let sum = of_class.iter().map(|operation| operation.estimate.milliseconds).sum();
        let mut text = format!("{}, about {} in all", counted(of_class.len() as u64, "operation"), took(sum));
        if class == LockClass::Copy {
            let tables: Vec<String> =
                of_class.iter().take(NAMED).map(|operation| operation.action.table().to_string()).collect();
            text.push_str(&format!(": {}", tables.join(", ")));
        }
        facts.push(fact(name, text));
    }
    for phase in status.phases.iter().filter(|phase| !phase.background) {
        let until = phase.finished.as_ref().map(|ended| ended.0);
        let text = until.map_or("still at it".to_owned(), |until| {
            format!("at most {}", took(standing::elapsed(phase.started.0, until)))
        });
        facts.push(fact(&format!("Writers of a copied table waited in {}", phase.name), text));
    }
    facts
}

/// What the soak measured, each thing beside what is allowed, as the operator wrote it.
fn soaked(soak: &SoakStatus) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let (Some(from), Some(until)) = (&soak.started_at, &soak.until) {
        let samples = counted(u(i64::from(soak.samples)), "sample");
        let newest = soak.sampled_at.as_ref().map(|at| format!(", the newest at {}", moment(at.0))).unwrap_or_default();
        facts.push(fact(
            "The soak watched",
            format!("from {} until {}: {samples}{newest}", moment(from.0), moment(until.0)),
        ));
    }
    for watch in &soak.watches {
        let word = match (watch.beyond, &watch.measured) {
            (1.., _) => "beyond it: ",
            (_, Some(_)) => "within it: ",
            (_, None) => "",
        };
        facts.push(fact(&format!("Soak: {}", described(watch.name)), format!("{word}{}", shown(watch))));
    }
    facts
}

/// What was proven, and how it is signed.
pub(super) fn evidence(status: &SchemaMigrationStatus, signed: Option<&Signed>) -> Vec<Fact> {
    let Some(written) = &status.evidence else { return Vec::new() };
    let mut facts = vec![
        fact("Digest", written.digest.clone()),
        fact("Lies in", format!("the ConfigMap {}", written.config_map)),
        fact(
            "Signature",
            match &written.signed_by {
                Some(key) => {
                    format!("by the key {key}; kubectl holdfast evidence verify checks it with the public key")
                }
                None => "none: no environment takes it".to_owned(),
            },
        ),
    ];
    let Some(document) = signed.and_then(|signed| signed.unverified().ok()) else { return facts };
    let (proof, versions) = (&document.proof, &document.versions);
    let kubernetes = versions.kubernetes.as_ref().map(|version| format!(", Kubernetes {version}")).unwrap_or_default();
    facts.extend([
        fact("Environment", document.environment.clone()),
        fact("Versions", format!("Holdfast {}, server {}{kubernetes}", versions.holdfast, versions.server)),
        fact("Proven at", format!("{} by the server's clock", proof.proven_at)),
        fact(
            "Proven",
            format!(
                "{} and {} on {}, {} of stages met",
                counted(u(proof.foreign_keys), "foreign key"),
                counted(u(proof.unique_constraints), "unique constraint"),
                if proof.replicas == 0 {
                    "the server".to_owned()
                } else {
                    format!("the server and {}", counted(u(proof.replicas), "replica"))
                },
                counted(u(proof.expectations), "expectation"),
            ),
        ),
        fact(
            "Children without a parent",
            format!("0, counted anew for each of {}", counted(proof.keys.len() as u64, "key")),
        ),
    ]);
    if let Some(sessions) = proof.sessions_without_checks {
        facts.push(fact("Sessions that could write past the keys", grouped(u(sessions))));
    }
    facts
}

/// What a backup that is in place has cost.
fn put_back_facts(put_back: &PutBackStatus) -> Vec<Fact> {
    let lost = put_back.loss.as_ref().map(|loss| {
        format!(
            "at most {} in {}, counted at {}",
            counted(u(loss.rows), "row"),
            counted(u(loss.tables), "table"),
            moment(loss.counted_at.0)
        )
    });
    let kept = put_back.kept_schema.as_ref().map(|schema| {
        let tables = counted(u(put_back.kept_tables.unwrap_or(0)), "table");
        match &put_back.purged_at {
            Some(at) => format!("{tables} of before, purged at {}", moment(at.0)),
            None => format!("{tables} of before, in the schema {schema} until a purge"),
        }
    });
    known("Lost", lost).into_iter().chain(known("Kept", kept)).collect()
}

/// What a person asked for, what is tried again, and the rollback.
pub(super) fn steering(status: &SchemaMigrationStatus) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(rollback) = &status.rollback {
        let identical = counted(u(rollback.tables_identical), "table");
        facts.extend([
            fact("Failed", format!("{} ({}): {}", rollback.failed_phase, rollback.reason, rollback.message)),
            fact(
                "Then",
                format!(
                    "{:?}: {} taken back, {identical} as before",
                    rollback.strategy,
                    counted(u(rollback.undone), "change")
                ),
            ),
            fact("Decided at", moment(rollback.started_at.0)),
        ]);
        facts.extend(known("Ended at", rollback.finished_at.as_ref().map(|at| moment(at.0))));
        facts.extend(rollback.remaining.iter().map(|left| fact("Not taken back", left.clone())));
        facts.extend(rollback.put_back.iter().filter(|put_back| put_back.in_place).flat_map(put_back_facts));
    }
    if let Some(retrying) = &status.retrying {
        let text =
            format!("{} since {}, given up at {}", retrying.reason, moment(retrying.since.0), moment(retrying.until.0));
        facts.push(fact("Tried again", text));
    }
    for answer in &status.steering {
        let word = if answer.accepted { "accepted" } else { "refused" };
        facts.push(fact(&answer.action.to_string(), format!("{word} at {}: {}", moment(answer.at.0), answer.message)));
    }
    facts
}
