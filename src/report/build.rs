//! From the objects to the report.

use kube::ResourceExt as _;

use super::model::{Counted, Fact, Heading, OperationLine, Report};
use super::sources::Sources;
use super::words::{fact, known, moment, short, took, u};
use super::{facts, journal, people, schema, timeline};
use crate::api::status::SchemaMigrationStatus;
use crate::api::{Reason, SchemaMigration};
use crate::cli::bars::counted;
use crate::cli::standing;
use crate::mysql::JournalEntry;
use crate::plan::Plan;
use crate::plan::model::Section;
use crate::plan::render::{describe, grouped, title};

impl Report {
    /// The report of what was read.
    #[must_use]
    pub fn new(sources: &Sources<'_>) -> Self {
        let migration = sources.migration;
        let status = standing::status(migration);
        let plan = sources.plan.as_ref().and_then(|plan| plan.as_ref().ok()).copied();
        let approvals = sources.approvals.as_ref().copied().unwrap_or_default();
        let events = sources.events.as_ref().copied().unwrap_or_default();
        let signed = sources.evidence.as_ref().and_then(|signed| signed.as_ref().ok()).copied();
        Self {
            heading: heading(sources, &status, plan),
            missing: missing(sources),
            schema: plan.map_or_else(|| schema::of_spec(migration), |plan| schema::of_plan(migration, plan)),
            cascades: plan.map(schema::cascades).unwrap_or_default(),
            timeline: timeline::timeline(migration, plan, sources.now),
            operations: plan.map(|plan| operations(&status, plan, sources.journal)).unwrap_or_default(),
            has_journal: sources.journal.is_some(),
            validation: validation(&status),
            quarantine: facts::quarantine(migration, &status),
            pressure: [
                facts::pressure(migration, &status, plan),
                sources.journal.map(journal::pressure).unwrap_or_default(),
            ]
            .concat(),
            gates: people::gates(migration, &status),
            approvals: people::approvals(migration, &status, approvals),
            backup: facts::backup(migration, &status),
            rehearsal: facts::rehearsal(&status),
            slowest: facts::slowest(&status),
            tests: facts::tests(&status),
            evidence: facts::evidence(&status, signed),
            steering: facts::steering(&status),
            warnings: plan.map_or_else(
                || status.plan.as_ref().map(|plan| plan.warnings.clone()).unwrap_or_default(),
                |plan| plan.warnings.clone(),
            ),
            conditions: people::conditions(&status),
            events: people::events(events),
        }
    }
}

/// What was asked for and did not come.
fn missing(sources: &Sources<'_>) -> Vec<String> {
    let plan = match &sources.plan {
        None => Some(
            "There is no plan yet: the picture shows what the spec asks for, and there are no operations.".to_owned(),
        ),
        Some(Err(why)) => Some(format!(
            "The plan is left out, and with it its operations, cascades and the keys that there were before: {why}"
        )),
        Some(Ok(_)) => None,
    };
    let told = |what: &str, why: Option<&String>| why.map(|why| format!("{what} left out: {why}"));
    [
        plan,
        told("Approvals that opened no gate are", sources.approvals.as_ref().err()),
        told("Events are", sources.events.as_ref().err()),
        told("The evidence's content is", sources.evidence.as_ref().and_then(|evidence| evidence.as_ref().err())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn heading(sources: &Sources<'_>, status: &SchemaMigrationStatus, plan: Option<&Plan>) -> Heading {
    let migration = sources.migration;
    let standing = standing::standing(migration);
    Heading {
        name: migration.name_any(),
        namespace: migration.namespace().unwrap_or_default(),
        word: standing.word,
        tone: standing.tone,
        outcome: standing.now,
        waits_for: standing.waits_for,
        next: standing.next,
        figures: figures(sources, status),
        about: about(migration, status, plan),
        made_at: sources.now,
    }
}

/// The few figures that people look for first.
fn figures(sources: &Sources<'_>, status: &SchemaMigrationStatus) -> Vec<Fact> {
    let sum = |each: fn(&crate::api::status::StageStatus) -> i64| u(status.stages.iter().map(each).sum());
    let of = |done: u64, total: u64| format!("{} of {}", grouped(done), grouped(total));
    let found = status.validation.iter().filter(|line| line.is_of_a_rule()).map(|line| u(line.count)).sum();
    let kept = status.quarantine.as_ref().map(|kept| kept.orphans + kept.duplicates + kept.cascaded + kept.values);
    let spent = status.started_at.as_ref().map(|began| {
        let until = status.finished_at.as_ref().map_or(sources.now, |ended| ended.0);
        took(standing::elapsed(began.0, until))
    });
    let worst = status.plan.as_ref().and_then(|plan| plan.estimates.worst_cascade_rows);
    let estimate = status.plan.as_ref().map(|plan| &plan.estimates);
    let estimate = estimate.map(|known| took(u(known.rehearsed_seconds.unwrap_or(known.duration_seconds)) * 1_000));
    [
        (!status.stages.is_empty())
            .then(|| fact("Foreign keys proven", of(sum(|stage| stage.verified), sum(|stage| stage.foreign_keys)))),
        status.steps.as_ref().map(|steps| fact("Operations done", of(u(steps.done), u(steps.total)))),
        (!status.validation.is_empty()).then(|| fact("Rows that broke a rule", grouped(found))),
        known("Rows and values in quarantine", kept.map(|kept| grouped(u(kept)))),
        match spent {
            Some(spent) => Some(fact("Since the first change", spent)),
            None => known("Expected to take", estimate),
        },
        known("Rows that one deletion may take along", worst.map(|rows| grouped(u(rows)))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn about(migration: &SchemaMigration, status: &SchemaMigrationStatus, plan: Option<&Plan>) -> Vec<Fact> {
    let database = &migration.spec.database;
    let replicas = match database.replicas.len() {
        0 => String::new(),
        some => format!(", replicas: {some}"),
    };
    let adopted = status.plan.as_ref().map(|plan| plan.counts.adopted).filter(|adopted| *adopted > 0);
    let does = status.plan.as_ref().map(|plan| {
        let counts = &plan.counts;
        let some = |number: i64, noun: &str| counted(u(number), noun);
        let copies = if counts.copies == 1 { "1 copy".to_owned() } else { format!("{} copies", counts.copies) };
        format!(
            "{} on {}: {}{}, {}, {}, {}, {copies}",
            some(counts.operations, "operation"),
            some(counts.tables, "table"),
            some(counts.foreign_keys, "foreign key"),
            adopted.map(|adopted| format!(" ({adopted} more there already)")).unwrap_or_default(),
            some(counts.unique_constraints, "unique constraint"),
            counted(u(counts.type_fixes), "type fix"),
            some(counts.indexes, "index"),
        )
    });
    [
        Some(fact("Database", format!("schema {} on {}{replicas}", database.name, database.host))),
        known("Server", plan.map(|plan| format!("{}, {}", plan.server.version_text, plan.server.server_uuid))),
        known("Environment", migration.spec.promotion.as_ref().map(|promotion| promotion.environment.clone())),
        known("Contact", migration.spec.contact.clone()),
        known("Does", does),
        known("Plan", status.plan.as_ref().map(|plan| plan.digest.clone())),
        known("Content", status.content_digest.clone()),
        known("Planned at", status.plan.as_ref().map(|plan| moment(plan.computed_at.0))),
        known("First change", status.started_at.as_ref().map(|at| moment(at.0))),
        known("Ended", status.finished_at.as_ref().map(|at| moment(at.0))),
        known("Attempt", (status.attempt > 1).then(|| status.attempt.to_string())),
        known("Worst deletion", status.plan.as_ref().and_then(|plan| plan.estimates.worst_cascade.clone())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The operations. They are done in their order, so that their number says which ones are.
fn operations(status: &SchemaMigrationStatus, plan: &Plan, entries: Option<&[JournalEntry]>) -> Vec<OperationLine> {
    let back = standing::reason(status) == Some(Reason::RollbackSucceeded);
    let done = if back { 0 } else { status.steps.as_ref().map_or(0, |steps| u(steps.done)) };
    let slowest = facts::slowest(status);
    let line = |(place, operation): (usize, &crate::plan::Operation)| OperationLine {
        id: operation.id.clone(),
        part: title(plan, operation.section),
        stage: match operation.section {
            Section::Stage(stage) => Some(stage),
            _ => None,
        },
        what: describe(operation),
        lock: operation.lock,
        rows: operation.estimate.rows,
        estimated: operation.estimate.milliseconds,
        rehearsed: slowest.iter().find(|slow| slow.operation == operation.id).map(|slow| slow.milliseconds),
        done: (place as u64) < done,
        journal: None,
    };
    let lines = plan.operations.iter().enumerate().map(line).collect();
    journal::joined(lines, entries.unwrap_or_default())
}

/// The validation report, the greatest counts first. Once a migration is complete, each rule was counted anew and holds.
fn validation(status: &SchemaMigrationStatus) -> Vec<Counted> {
    let complete = standing::reason(status) == Some(Reason::Complete);
    let mut lines: Vec<Counted> = status
        .validation
        .iter()
        .map(|line| Counted {
            what: line.issue_type.clone(),
            before: u(line.count),
            after: (complete && line.is_of_a_rule()).then_some(0),
        })
        .collect();
    lines.sort_by(|one, other| other.before.cmp(&one.before).then_with(|| one.what.cmp(&other.what)));
    lines
}

/// The plan's digest in short, for a title.
pub(super) fn title_of(heading: &Heading) -> String {
    let plan = heading.about.iter().find(|fact| fact.name == "Plan").map(|plan| short(&plan.value));
    format!(
        "{} in {}: {}{}",
        heading.name,
        heading.namespace,
        heading.word,
        plan.map(|plan| format!(", plan {plan}")).unwrap_or_default()
    )
}
