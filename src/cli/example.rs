//! The migration and the plan that the tests of the plugin show.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::SchemaMigration;
use crate::plan::Plan;
use crate::plan::digest::plan_digest;

/// The moment of all golden texts.
pub(crate) fn now() -> Timestamp {
    "2026-11-24T10:10:00Z".parse().unwrap()
}

/// A migration with that status.
pub(crate) fn migration(status: Value) -> SchemaMigration {
    let key = |name: &str| json!({"name": name, "table": "bookmarks", "columns": ["user_id"], "references": {"table": "users", "columns": ["id"]}, "onDelete": "Cascade"});
    let mut object = json!({
        "apiVersion": "holdfast.dev/v1alpha1",
        "kind": "SchemaMigration",
        "metadata": {"name": "referential-integrity", "namespace": "shop", "uid": "5a3e", "generation": 1},
        "spec": {
            "contact": "#db-oncall",
            "database": {"host": "mysql", "name": "shop", "credentialsSecretRef": {"name": "shop-migrator"}},
            "backup": {"type": "Job", "verification": "Inspect"},
            "rehearsal": {"enabled": false},
            "stages": [{"name": "users", "foreignKeys": [key("a"), key("b")]}, {"name": "remaining", "foreignKeys": [key("c")]}],
            "gates": [{"before": {"phase": "CleanUp"}, "approval": "Required"}],
        },
    });
    if !status.is_null() {
        object["status"] = status;
    }
    serde_json::from_value(object).unwrap()
}

/// A condition.
pub(crate) fn condition(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-24T10:00:00Z"})
}

fn identifier_pair(table: &str) -> Value {
    json!({"schema": "shop", "table": table})
}

fn key(name: &str, child: &str) -> Value {
    json!({
        "name": name, "child": identifier_pair(child), "columns": ["user_id"], "parent": identifier_pair("users"), "parent_columns": ["id"],
        "on_delete": "Cascade", "on_update": "NoAction",
    })
}

/// A plan of eight operations, one of which copies a table.
pub(crate) fn plan() -> Plan {
    let operation = |number: usize, what: &str, section: Value, action: Value, lock: &str, milliseconds: u64| {
        json!({
            "id": format!("{number:03}-{what}"), "section": section, "action": action, "forward": null, "inverse": null, "lock": lock,
            "estimate": {"rows": 12_000, "bytes": 1_048_576, "milliseconds": milliseconds}, "path": "spec",
        })
    };
    let orphans = json!({"RemoveOrphans": {"key": key("fk_bookmarks_user", "bookmarks"), "policy": "Delete"}});
    let duplicates = json!({"RemoveDuplicates": {"table": identifier_pair("user_auth_providers"), "columns": ["user_id"], "policy": "KeepNewest", "order_by": "id", "dependents": []}});
    let modify = json!({"ModifyColumn": {"table": identifier_pair("bookmark_folders"), "before": column(), "after_type": "bigint unsigned"}});
    let unique = json!({"AddUnique": {"table": identifier_pair("user_auth_providers"), "index": "uq_auth", "columns": ["user_id"]}});
    let index =
        json!({"AddIndex": {"table": identifier_pair("bookmarks"), "index": "by_user", "columns": ["user_id"]}});
    let add = |name: &str, child: &str| json!({"AddForeignKey": {"key": key(name, child), "policy": "Delete"}});
    let stage = |place: usize| json!({"Stage": place});
    let mut plan: Plan = serde_json::from_value(json!({
        "format": 1,
        "digest": "",
        "content_digest": "sha256:content",
        "server": {"flavour": "MySql", "version": {"major": 9, "minor": 7, "patch": 0}, "version_text": "9.7.0", "server_uuid": "server",
            "native_foreign_keys": false, "lower_case_table_names": 0},
        "schema": "shop",
        "tables": {},
        "operations": [
            operation(1, "remove-orphans-fk_bookmarks_user", json!("CleanUp"), orphans, "Batched", 20_000),
            operation(2, "remove-duplicates-uq_auth", json!("CleanUp"), duplicates, "Batched", 4_000),
            operation(3, "modify-column-owner_id", json!("FixTypes"), modify, "Copy", 130_000),
            operation(4, "add-unique-uq_auth", json!("AddUniques"), unique, "OnlineBuild", 3_000),
            operation(5, "add-index-by_user", stage(0), index, "OnlineBuild", 30_000),
            operation(6, "add-key-fk_bookmarks_user", stage(0), add("fk_bookmarks_user", "bookmarks"), "Metadata", 2_000),
            operation(7, "add-key-fk_folders_owner", stage(0), add("fk_folders_owner", "bookmark_folders"), "Metadata", 2_000),
            operation(8, "add-key-fk_tags_user", stage(1), add("fk_tags_user", "tags"), "Metadata", 2_000),
        ],
        "adopted": [],
        "stages": [{"name": "users", "expect": []}, {"name": "remaining", "expect": []}],
        "warnings": [],
    }))
    .unwrap();
    plan.digest = plan_digest(&plan).unwrap();
    plan
}

fn column() -> Value {
    json!({
        "name": "owner_id", "ordinal": 2, "data_type": "int", "column_type": "int", "nullable": true, "default": null, "extra": "",
        "character_set": null, "collation": null, "comment": "", "generation_expression": null, "srs_id": null,
    })
}

fn plan_status() -> Value {
    json!({
        "digest": plan().digest, "configMaps": ["referential-integrity-plan-0"], "generation": 1, "computedAt": "2026-11-24T10:00:04Z",
        "counts": {"operations": 8, "tables": 5, "typeFixes": 1, "uniqueConstraints": 1, "indexes": 1, "foreignKeys": 3, "adopted": 2, "copies": 1},
        "estimates": {"rows": 96_000, "bytes": 8_388_608, "durationSeconds": 193, "worstCascadeRows": 412,
            "worstCascade": "users -> bookmarks: 412 rows deleted (exact)"},
        "warnings": ["bookmarks has a trigger (audit_delete) that deletions by a cascade do not fire"],
    })
}

fn stage(name: &str, state: &str, verified: i64, keys: i64) -> Value {
    json!({"name": name, "state": state, "foreignKeys": keys, "added": verified, "verified": verified})
}

fn phase(name: &str, started: &str, finished: Option<&str>) -> Value {
    let at = |time: &str| format!("2026-11-24T10:{time}Z");
    let mut phase = json!({"name": name, "started": at(started), "background": name != "FixTypes"});
    if let Some(finished) = finished {
        phase["finished"] = json!(at(finished));
    }
    phase
}

fn before_the_first_change() -> Value {
    json!({
        "observedGeneration": 1,
        "plan": plan_status(),
        "steps": {"done": 0, "total": 8, "progress": "0/8"},
        "attempt": 1,
        "stages": [stage("users", "Pending", 0, 2), stage("remaining", "Pending", 0, 1)],
        "validation": [
            {"issueType": "orphans: bookmarks.user_id -> users.id", "count": 1_234},
            {"issueType": "orphans: tags.user_id -> users.id", "count": 0},
            {"issueType": "duplicates: user_auth_providers (user_id)", "count": 3},
        ],
        "phases": [
            phase("Preflight", "00:00", Some("00:01")),
            phase("Plan", "00:01", Some("00:04")),
            phase("BackUp", "00:04", Some("01:44")),
            phase("Rehearse", "01:44", Some("01:44")),
            phase("Validate", "01:44", Some("01:56")),
            phase("CleanUp", "01:56", None),
        ],
    })
}

fn passed() -> Vec<Value> {
    vec![
        condition("PreflightPassed", "True", "Succeeded", "MySQL 9.7.0, 12 sessions, no replica"),
        condition("Planned", "True", "Succeeded", "8 operations on 5 tables"),
        condition("BackedUp", "True", "Succeeded", "1.2 GiB in the claim backups, inspected"),
        condition("Rehearsed", "True", "Skipped", "spec.rehearsal.enabled is false"),
        condition("Validated", "True", "Succeeded", "1,237 rows break a rule that is to be added"),
    ]
}

fn with(mut status: Value, conditions: Vec<Value>, more: Value) -> SchemaMigration {
    let mut all = passed();
    all.extend(conditions);
    status["conditions"] = Value::Array(all);
    if let (Some(status), Value::Object(more)) = (status.as_object_mut(), more) {
        status.extend(more);
    }
    migration(status)
}

/// One that waits for two approvals.
pub(crate) fn waiting() -> SchemaMigration {
    let digest = plan().digest;
    let said = |step: &str| {
        format!(
            "waiting for an approval before {step}: create a MigrationApproval with migrationRef.name \"referential-integrity\", before.phase {step}, \
             decision Approve, planDigest {digest} (contact: #db-oncall)"
        )
    };
    let gate = |step: &str| json!({"before": {"phase": step}, "state": "Closed", "reason": "ApprovalPending", "message": said(step)});
    with(
        before_the_first_change(),
        vec![condition("Ready", "Unknown", "ApprovalPending", &said("CleanUp"))],
        json!({"phase": "CleanUp", "message": said("CleanUp"), "gates": [gate("CleanUp"), gate("Copy")]}),
    )
}

/// The same, and its plan was rehearsed.
pub(crate) fn rehearsed() -> SchemaMigration {
    let mut status = serde_json::to_value(waiting().status).unwrap();
    let conditions = status["conditions"].as_array_mut().unwrap();
    let place = conditions.iter().position(|condition| condition["type"] == "Rehearsed").unwrap();
    conditions[place] = condition("Rehearsed", "True", "Succeeded", "the whole plan ran on the restored copy");
    status["plan"]["estimates"]["rehearsedSeconds"] = json!(95);
    let phase = |name: &str, milliseconds: i64| json!({"name": name, "milliseconds": milliseconds});
    let slow = |operation: &str, table: &str, lock: &str, milliseconds: i64| json!({"operation": operation, "table": table, "lock": lock, "milliseconds": milliseconds});
    status["rehearsal"] = json!({
        "startedAt": "2026-11-24T10:00:40Z", "finishedAt": "2026-11-24T10:01:40Z", "planDigest": plan().digest, "job": "m-verify", "backupAttempt": 1,
        "passed": true, "orphans": 1_236, "duplicates": 3, "quarantinedRows": 1_256, "quarantinedValues": 0, "foreignKeys": 5, "probes": 5,
        "scenarios": 2, "changeMilliseconds": 94_800, "undoMilliseconds": 71_000, "identical": true,
        "phases": [phase("Validate", 900), phase("CleanUp", 11_300), phase("FixTypes", 78_000), phase("AddUniques", 1_500),
            phase("AddForeignKeys", 3_200), phase("Test", 500), phase("Prove", 300), phase("RollBack", 71_000)],
        "slowest": [slow("003-modify-column-bookmark_folders-owner_id", "bookmark_folders", "Copy", 78_000),
            slow("001-orphans-fk_bookmarks_user", "bookmarks", "Batched", 9_800)],
    });
    migration(status)
}

fn approved(step: &str) -> Value {
    json!({"before": {"phase": step}, "state": "Open", "reason": "Approved", "message": "approved by alice@example.com with the MigrationApproval \"a\""})
}

/// One that adds keys and waits for a lock.
pub(crate) fn working() -> SchemaMigration {
    let said = "006-add-key-fk_bookmarks_user (1 of 3 operations done); waiting: session 812 (app@10.0.0.7) has held a lock on shop.bookmarks for 14 s";
    with(
        before_the_first_change(),
        vec![
            condition("Ready", "Unknown", "LockWaitTimeout", said),
            condition("CleanedUp", "True", "Succeeded", "1,234 orphans and 3 duplicates are in quarantine"),
            condition("TypesFixed", "True", "Succeeded", "1 column changed"),
            condition("UniquesAdded", "True", "Succeeded", "1 unique constraint added"),
        ],
        json!({
            "phase": "AddForeignKeys", "message": said, "current": "006-add-key-fk_bookmarks_user", "startedAt": "2026-11-24T10:05:00Z",
            "steps": {"done": 5, "total": 8, "progress": "5/8"},
            "gates": [approved("CleanUp"), approved("Copy")],
            "stages": [stage("users", "Running", 0, 2), stage("remaining", "Pending", 0, 1)],
            "quarantine": {"orphans": 1_234, "duplicates": 3, "cascaded": 17, "values": 0},
            "phases": [
                phase("Preflight", "00:00", Some("00:01")), phase("Plan", "00:01", Some("00:04")), phase("BackUp", "00:04", Some("01:44")),
                phase("Rehearse", "01:44", Some("01:44")), phase("Validate", "01:44", Some("01:56")), phase("CleanUp", "01:56", Some("05:20")),
                phase("FixTypes", "05:20", Some("07:40")), phase("AddUniques", "07:40", Some("07:42")), phase("AddForeignKeys", "07:42", None),
            ],
        }),
    )
}

/// One whose application is watched.
pub(crate) fn soaking() -> SchemaMigration {
    let said = "watching the application until 2026-11-24T10:21:00Z";
    let mut status = serde_json::to_value(complete().status).unwrap();
    let phases = status["phases"].as_array_mut().unwrap();
    phases.truncate(11);
    phases.push(phase("Soak", "06:00", None));
    let watch = |name: &str, beyond: i32, measured: Value, unseen: Value| json!({"name": name, "judged": 4, "beyond": beyond, "measured": measured, "notWatched": unseen});
    status["soak"] = json!({
        "startedAt": "2026-11-24T10:06:00Z", "until": "2026-11-24T10:21:00Z", "sampledAt": "2026-11-24T10:10:00Z", "samples": 5,
        "uptimeSeconds": 86_400, "resets": 0,
        "watches": [
            watch("ForeignKeyErrors", 0, json!("0 in 60 s; allowed are 5 a minute"), Value::Null),
            watch("ReadLatency", 1, json!("2.6 ms on the average of 812 statements, 2.0 ms before; allowed are 0.0 ms more (and 0.5 ms for what two readings differ by)"), Value::Null),
            watch("DeleteLatency", 0, Value::Null, json!("no such statement was measured before the first change")),
        ],
    });
    status["finishedAt"] = Value::Null;
    let conditions = vec![
        condition("Ready", "Unknown", "Progressing", said),
        condition("CleanedUp", "True", "Succeeded", "1,234 orphans and 3 duplicates are in quarantine"),
        condition("TypesFixed", "True", "Succeeded", "1 column changed"),
        condition("UniquesAdded", "True", "Succeeded", "1 unique constraint added"),
        condition("ForeignKeysAdded", "True", "Succeeded", "3 keys proven"),
        condition("SchemaUpdated", "True", "Skipped", "spec.schemaUpdate is left out"),
        condition("Tested", "True", "Succeeded", "3 keys probed"),
        condition("Soaked", "Unknown", "Progressing", said),
    ];
    with(status, conditions, json!({"phase": "Soak", "message": said, "current": said, "steering": []}))
}

/// One that ended well.
pub(crate) fn complete() -> SchemaMigration {
    let said =
        "3 foreign keys and 1 unique constraint are there and proven; 1,254 rows and values are kept in quarantine";
    let mut status = serde_json::to_value(working().status).unwrap();
    for (place, name) in ["users", "remaining"].into_iter().enumerate() {
        status["stages"][place] = stage(name, "Complete", 2 - place as i64, 2 - place as i64);
    }
    status["phases"][8]["finished"] = json!("2026-11-24T10:08:30Z");
    for (name, started, finished) in [
        ("UpdateSchema", "08:30", "08:30"),
        ("Test", "08:30", "09:10"),
        ("Soak", "09:10", "09:10"),
        ("Prove", "09:10", "09:20"),
    ] {
        status["phases"].as_array_mut().unwrap().push(phase(name, started, Some(finished)));
    }
    let conditions = vec![
        condition("Ready", "True", "Complete", said),
        condition("Succeeded", "True", "Complete", said),
        condition("Finished", "True", "Complete", said),
        condition("CleanedUp", "True", "Succeeded", "1,234 orphans and 3 duplicates are in quarantine"),
        condition("TypesFixed", "True", "Succeeded", "1 column changed"),
        condition("UniquesAdded", "True", "Succeeded", "1 unique constraint added"),
        condition("ForeignKeysAdded", "True", "Succeeded", "3 keys proven"),
        condition("SchemaUpdated", "True", "Skipped", "spec.schemaUpdate is left out"),
        condition("Tested", "True", "Succeeded", "3 keys probed"),
        condition("Soaked", "True", "Skipped", "spec.soak is left out"),
    ];
    let answer = json!({"action": "Rollback", "token": "1", "accepted": false, "message": "the migration is complete and proven", "at": "2026-11-24T10:09:40Z"});
    status["steps"] = json!({"done": 8, "total": 8, "progress": "8/8"});
    with(
        status,
        conditions,
        json!({"phase": "Complete", "message": said, "current": null, "finishedAt": "2026-11-24T10:09:20Z", "steering": [answer]}),
    )
}

/// One that failed and is held.
pub(crate) fn held() -> SchemaMigration {
    let failure = "fk_bookmarks_user: 20 tries met spec.execution.lockTimeout (500ms)";
    let said = format!(
        "AddForeignKeys failed (RetriesExhausted): {failure}. Held, as spec.rollback.onFailure says: 5 of 8 operations are done and stand"
    );
    let mut status = serde_json::to_value(working().status).unwrap();
    status["stages"][0]["state"] = json!("Failed");
    status["phases"][8]["finished"] = json!("2026-11-24T10:09:00Z");
    let conditions = vec![
        condition("Ready", "False", "Held", &said),
        condition("Finished", "True", "Held", &said),
        condition("CleanedUp", "True", "Succeeded", "1,234 orphans and 3 duplicates are in quarantine"),
        condition("TypesFixed", "True", "Succeeded", "1 column changed"),
        condition("UniquesAdded", "True", "Succeeded", "1 unique constraint added"),
        condition("ForeignKeysAdded", "False", "RetriesExhausted", failure),
    ];
    with(
        status,
        conditions,
        json!({"phase": "Failed", "message": said, "current": null, "finishedAt": "2026-11-24T10:09:00Z"}),
    )
}

/// One that failed its tests and was taken back.
pub(crate) fn rolled_back() -> SchemaMigration {
    let said =
        "Test failed (TestsFailed): the Job app-tests failed; every change was taken back: 5 tables are as before";
    let mut status = serde_json::to_value(complete().status).unwrap();
    for (place, name) in ["users", "remaining"].into_iter().enumerate() {
        status["stages"][place] = stage(name, "Pending", 0, 2 - place as i64);
    }
    status["phases"].as_array_mut().unwrap().truncate(11);
    status["phases"].as_array_mut().unwrap().push(phase("RollBack", "09:10", Some("09:50")));
    let back = |name: &str| condition(name, "False", "RollbackSucceeded", "what this step did was taken back");
    let conditions = vec![
        condition("Ready", "False", "RollbackSucceeded", said),
        condition("Finished", "True", "RollbackSucceeded", said),
        back("CleanedUp"),
        back("TypesFixed"),
        back("UniquesAdded"),
        back("ForeignKeysAdded"),
        condition("SchemaUpdated", "True", "Skipped", "spec.schemaUpdate is left out"),
        condition("Tested", "False", "TestsFailed", "the Job app-tests failed"),
        condition("RolledBack", "True", "RollbackSucceeded", said),
    ];
    let quarantine = json!({"orphans": 0, "duplicates": 0, "cascaded": 0, "values": 0});
    with(
        status,
        conditions,
        json!({"phase": "RolledBack", "message": said, "finishedAt": "2026-11-24T10:09:50Z", "steering": [], "quarantine": quarantine}),
    )
}

/// Compares a text with the one that is checked in, which somebody has read. HOLDFAST_WRITE_GOLDEN=1 writes it anew.
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden").join(name);
    if std::env::var_os("HOLDFAST_WRITE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "not as in {}; if this reads better, write it with HOLDFAST_WRITE_GOLDEN=1:\n{text}",
        path.display()
    );
}
