#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn name() -> Name {
    Name { namespace: "shop".to_owned(), migration: "keys".to_owned() }
}

fn status(value: serde_json::Value) -> SchemaMigrationStatus {
    serde_json::from_value(value).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn condition(kind: &str, value: &str, reason: &str) -> serde_json::Value {
    json!({"type": kind, "status": value, "reason": reason, "message": "", "lastTransitionTime": "2026-11-24T10:00:00Z"})
}

/// The samples of one metric: what follows namespace and name in their labels, and the value.
fn told(status: &SchemaMigrationStatus, of: Definition) -> Vec<(String, f64)> {
    let all = super::of(&name(), status, None, at("2026-11-24T12:00:00Z"));
    for sample in &all {
        assert_eq!(sample.labels.len(), sample.of.labels.len(), "{sample:?}");
        assert_eq!(sample.labels[..2], ["shop", "keys"]);
    }
    let mine = all.into_iter().filter(|sample| sample.of == of);
    mine.map(|sample| (sample.labels[2..].join(" "), sample.value)).collect()
}

#[test]
fn a_condition_is_told_with_names_that_are_ours_only() {
    let status = status(json!({"conditions": [
        condition("Ready", "Unknown", "ApprovalPending"),
        condition("Ours", "True", "Succeeded"),
        condition("Stalled", "True", "MadeUpBySomebody"),
    ]}));
    assert_eq!(told(&status, definitions::CONDITION), [("Ready Unknown ApprovalPending".to_owned(), 1.0)]);
}

#[test]
fn the_wait_for_an_approval_is_told_while_it_is_what_the_migration_waits_for() {
    let gate = json!({"before": {"phase": "CleanUp"}, "state": "Closed", "reason": "ApprovalPending", "since": "2026-11-24T11:00:00Z"});
    let stage =
        json!({"before": {"stage": "users"}, "state": "Open", "reason": "Approved", "since": "2026-11-24T09:00:00Z"});
    let waiting =
        status(json!({"gates": [gate, stage], "conditions": [condition("Reconciling", "True", "ApprovalPending")]}));
    assert_eq!(told(&waiting, definitions::APPROVAL_WAIT), [("CleanUp".to_owned(), 3600.0)]);
    let elsewhere =
        status(json!({"gates": [gate], "conditions": [condition("Reconciling", "True", "DatabaseUnreachable")]}));
    assert_eq!(told(&elsewhere, definitions::APPROVAL_WAIT), []);
    let over = status(json!({"gates": [gate], "conditions": [condition("Finished", "True", "Aborted")]}));
    assert_eq!(told(&over, definitions::APPROVAL_WAIT), []);
    let closed = json!({"before": {"phase": "CleanUp"}, "state": "Closed", "reason": "OutsideWindow", "since": "2026-11-24T11:00:00Z"});
    let window = status(json!({"gates": [closed], "conditions": [condition("Reconciling", "True", "OutsideWindow")]}));
    assert_eq!(told(&window, definitions::APPROVAL_WAIT), []);
}

#[test]
fn rows_are_told_by_table_and_tables_are_bounded() {
    let mut lines = vec![
        json!({"issueType": "orphans: bookmarks.user_id -> users.id", "count": 3}),
        json!({"issueType": "orphans: bookmarks.(a, b) -> pairs.(a, b)", "count": 4}),
        json!({"issueType": "orphans: other.notes.user_id -> users.id", "count": 0}),
        json!({"issueType": "duplicates: votes.(user_id, day)", "count": 5}),
        json!({"issueType": "unmapped: logs.agency", "count": 6}),
    ];
    let few = status(json!({"validation": lines}));
    assert_eq!(told(&few, definitions::ORPHAN_ROWS), [("bookmarks".to_owned(), 7.0), ("other.notes".to_owned(), 0.0)]);
    assert_eq!(told(&few, definitions::DUPLICATE_ROWS), [("votes".to_owned(), 5.0)]);
    lines.extend((0..100).map(|n| json!({"issueType": format!("orphans: t{n}.a -> b.id"), "count": 1})));
    let many = told(&status(json!({"validation": lines})), definitions::ORPHAN_ROWS);
    assert_eq!(many.len(), 51);
    assert_eq!(many[0], ("bookmarks".to_owned(), 7.0), "the largest are told by name");
    assert_eq!(many[50], (String::new(), 51.0));
    assert_eq!(many.iter().map(|(_, count)| count).sum::<f64>(), 107.0, "none is lost");
}

#[test]
fn progress_is_the_latest_time_that_the_status_knows() {
    let status = status(json!({
        "conditions": [condition("Ready", "Unknown", "Progressing")],
        "phases": [{"name": "Plan", "started": "2026-11-24T10:00:00Z", "finished": "2026-11-24T10:05:00Z"}],
        "jobs": [{"name": "b", "purpose": "Backup", "attempt": 1, "state": "Running", "started": "2026-11-24T10:06:00Z"}],
    }));
    assert_eq!(last_progress(&status), Some(at("2026-11-24T10:06:00Z")));
}

#[test]
fn what_is_kept_of_a_status_tells_the_same_and_holds_no_message() {
    let mut waits = condition("Reconciling", "True", "ApprovalPending");
    waits["message"] = json!("long");
    let status = status(json!({
        "conditions": [waits], "phase": "CleanUp", "steps": {"done": 3, "total": 7}, "message": "long",
        "startedAt": "2026-11-24T10:00:00Z", "finishedAt": "2026-11-24T11:00:00Z",
        "gates": [{"before": {"phase": "CleanUp"}, "state": "Closed", "reason": "ApprovalPending", "message": "long", "since": "2026-11-24T11:00:00Z"}],
        "validation": [{"issueType": "orphans: bookmarks.user_id -> users.id", "count": 5}],
        "quarantine": {"orphans": 1, "duplicates": 2, "cascaded": 3, "values": 4},
        "backup": {"attempt": 1, "takenAt": "2026-11-24T10:30:00Z", "bytes": 9},
        "jobs": [{"name": "b", "purpose": "Backup", "attempt": 1, "state": "Running", "started": "2026-11-24T10:06:00Z"}],
    }));
    let now = at("2026-11-24T12:00:00Z");
    let told = |status: &SchemaMigrationStatus| of(&name(), status, Some(now), now);
    let kept = kept(&status);
    assert_eq!(told(&kept), told(&status));
    assert!(told(&kept).len() >= 15, "{:?}", told(&kept));
    assert!(!format!("{kept:?}").contains("long") && kept.jobs.is_empty());
}

#[test]
fn a_phase_is_counted_once_and_by_how_it_ended() {
    let working = status(json!({
        "conditions": [condition("Planned", "True", "Succeeded"), condition("CleanedUp", "Unknown", "Progressing")],
        "phases": [
            {"name": "Plan", "started": "2026-11-24T10:00:00Z", "finished": "2026-11-24T10:05:00Z"},
            {"name": "CleanUp", "started": "2026-11-24T10:05:00Z"},
        ],
    }));
    let nothing = SchemaMigrationStatus::default();
    assert_eq!(ended_phases(&nothing, &working), [(Phase::Plan, PhaseResult::Succeeded, 300.0)]);
    assert_eq!(ended_phases(&working, &working), []);
    let mut failed = working.clone();
    failed.phases[1].finished = Some(Time(at("2026-11-24T10:05:10Z")));
    failed.phase = Some(Phase::RolledBack);
    assert_eq!(ended_phases(&working, &failed), [(Phase::CleanUp, PhaseResult::Failed, 10.0)]);
}

#[test]
fn a_rollback_is_counted_when_it_ends() {
    let rolling =
        status(json!({"phase": "RollBack", "phases": [{"name": "RollBack", "started": "2026-11-24T10:00:00Z"}]}));
    let end = |phase: &str| {
        status(json!({"phase": phase, "phases": [{"name": "RollBack", "started": "2026-11-24T10:00:00Z"}]}))
    };
    assert_eq!(ended_rollback(&rolling, &end("RolledBack")), Some(true));
    assert_eq!(ended_rollback(&rolling, &end("Failed")), Some(false));
    assert_eq!(ended_rollback(&end("Failed"), &end("Failed")), None);
    assert_eq!(ended_rollback(&status(json!({"phase": "Prove"})), &status(json!({"phase": "Complete"}))), None);
}

#[test]
fn what_was_purged_is_in_quarantine_no_more() {
    let purged = status(
        json!({"quarantine": {"orphans": 3, "duplicates": 0, "cascaded": 0, "values": 0, "purgedAt": "2026-11-24T10:00:00Z"}}),
    );
    assert!(told(&purged, definitions::QUARANTINED).iter().all(|(_, value)| *value == 0.0));
}
