//! The migrations and plans that the report's tests show, as JSON: one of a shop, one of a schema with hundreds of tables, and one in
//! which every name and message tries to be markup. Also a part of the browser's test, hence without a word of the crate.
#![allow(dead_code, missing_docs, unreachable_pub)]

use serde_json::{Value, json};

/// A migration and its plan, which has no digest yet.
pub struct Example {
    pub migration: Value,
    pub plan: Value,
}

/// A key: name, child, column, parent, action, and the stage that adds it.
type Line = (String, String, String, String, &'static str, Option<usize>);

const SHOP: [(&str, &str, &str, &str, Option<usize>); 27] = [
    ("user_roles", "user_id", "users", "Cascade", None),
    ("user_roles", "role_id", "roles", "Restrict", None),
    ("agencies", "county_id", "counties", "NoAction", None),
    ("bookmarks", "user_id", "users", "Cascade", Some(0)),
    ("bookmark_folders", "user_id", "users", "Cascade", Some(0)),
    ("bookmarks", "folder_id", "bookmark_folders", "SetNull", Some(0)),
    ("user_auth_providers", "user_id", "users", "Cascade", Some(0)),
    ("sessions", "user_id", "users", "Cascade", Some(0)),
    ("notifications", "user_id", "users", "Cascade", Some(0)),
    ("notification_settings", "user_id", "users", "Cascade", Some(0)),
    ("agency_members", "user_id", "users", "Cascade", Some(0)),
    ("comments", "author_id", "users", "SetNull", Some(0)),
    ("audit_log", "actor_id", "users", "Restrict", Some(0)),
    ("agency_members", "agency_id", "agencies", "Cascade", Some(1)),
    ("protocols", "county_id", "counties", "Restrict", Some(1)),
    ("protocols", "agency_id", "agencies", "Restrict", Some(1)),
    ("protocol_versions", "protocol_id", "protocols", "Cascade", Some(1)),
    ("protocol_tags", "protocol_id", "protocols", "Cascade", Some(1)),
    ("protocol_tags", "tag_id", "tags", "Cascade", Some(1)),
    ("comments", "protocol_id", "protocols", "Cascade", Some(1)),
    ("comments", "parent_id", "comments", "Cascade", Some(1)),
    ("attachments", "comment_id", "comments", "Cascade", Some(1)),
    ("integration_logs", "agency_id", "agencies", "SetNull", Some(1)),
    ("bookmarks", "protocol_id", "protocols", "Cascade", Some(1)),
    ("invoices", "agency_id", "agencies", "Restrict", Some(1)),
    ("invoice_lines", "invoice_id", "invoices", "Cascade", Some(1)),
    ("payments", "invoice_id", "invoices", "Restrict", Some(1)),
];

/// The shop, complete.
pub fn shop() -> Example {
    let lines: Vec<Line> = SHOP
        .iter()
        .map(|(child, column, parent, action, stage)| {
            (
                format!("fk_{child}_{}", column.trim_end_matches("_id")),
                (*child).to_owned(),
                (*column).to_owned(),
                (*parent).to_owned(),
                *action,
                *stage,
            )
        })
        .collect();
    let mut plan = plan(&lines, &["users", "remaining"]);
    let path = |from: &str, through: &[usize], reach: Value| {
        let keys: Vec<Value> = through.iter().map(|place| key(&lines[*place])).collect();
        json!({"from": table(from), "keys": keys, "reach": reach})
    };
    plan["cascades"] = json!([
        path("users", &[3], json!({"Exact": 1_412})),
        path("users", &[8], json!({"Exact": 20_816})),
        path("users", &[7], json!({"Exact": 388})),
        path("protocols", &[19], json!({"Exact": 912})),
        path("protocols", &[19, 21], json!({"Sampled": 3_120})),
        path("users", &[11], json!({"Exact": 640})),
        path("agencies", &[13], json!({"Exact": 77})),
        path("bookmark_folders", &[5], "NotMeasured".into()),
    ]);
    plan["warnings"] = json!([
        "comments refers to itself by fk_comments_parent: deleting a row deletes everything below it, at most 15 levels deep.",
        "Deleting a row of users reaches bookmarks over several paths: users -> bookmarks; users -> bookmark_folders -> bookmarks (set to NULL).",
    ]);
    Example { migration: migration("referential-integrity", &lines, &["users", "remaining"], complete()), plan }
}

/// The shop on the evening before: it waits for an approval.
pub fn waiting() -> Example {
    let mut example = shop();
    let said = "waiting for an approval before CleanUp: create a MigrationApproval with before.phase CleanUp (contact: #db-oncall)";
    let status = &mut example.migration["status"];
    let kept = ["PreflightPassed", "Planned", "BackedUp", "Rehearsed", "Validated"];
    let mut conditions: Vec<Value> = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|each| kept.iter().any(|name| each["type"] == *name));
    conditions.insert(0, condition("Ready", "Unknown", "ApprovalPending", said));
    status["conditions"] = Value::Array(conditions);
    status["phase"] = json!("CleanUp");
    status["message"] = json!(said);
    status["steps"] = json!({"done": 0, "total": 69, "progress": "0/69"});
    status["gates"] = json!([
        {"before": {"phase": "CleanUp"}, "state": "Closed", "reason": "ApprovalPending", "message": said, "since": "2026-11-23T17:24:12Z"},
        {"before": {"phase": "Copy"}, "state": "Closed", "reason": "ApprovalPending", "message": said, "since": "2026-11-23T17:24:12Z"},
    ]);
    if let Some(phases) = status["phases"].as_array_mut() {
        phases.truncate(6);
        phases[5]["finished"] = Value::Null;
    }
    for stage in status["stages"].as_array_mut().into_iter().flatten() {
        let keys = stage["foreignKeys"].clone();
        *stage = json!({"name": stage["name"], "state": "Pending", "foreignKeys": keys, "added": 0, "verified": 0});
    }
    for gone in ["startedAt", "finishedAt", "quarantine", "evidence", "tested", "jobs"] {
        if let Some(status) = status.as_object_mut() {
            status.remove(gone);
        }
    }
    example
}

/// So many tables, a good tenth of which others refer to, with one to three keys each.
pub fn large(tables: usize) -> Example {
    const STAGES: [&str; 6] = ["core", "accounts", "catalogue", "orders", "content", "reporting"];
    const SUBJECTS: [&str; 10] =
        ["user", "order", "invoice", "product", "shipment", "ticket", "report", "asset", "campaign", "contract"];
    const PARTS: [&str; 9] =
        ["", "_item", "_history", "_tag", "_note", "_attachment", "_setting", "_event", "_translation"];
    let name = |place: usize| format!("{}{}_{:03}", SUBJECTS[place % 10], PARTS[place / 10 % 9], place);
    let mut random = 12_345_u64;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below.max(1)
    };
    let mut lines: Vec<Line> = Vec::new();
    for child in 1..tables {
        for number in 0..=draw(3) {
            // Most refer to a few tables that everything refers to.
            let parent = if draw(3) > 0 { draw(child.min(tables / 10)) } else { draw(child) };
            let action = ["Cascade", "Cascade", "Restrict", "SetNull", "NoAction"][draw(5)];
            let stage = (draw(5) > 0 || number == 0).then(|| child * STAGES.len() / tables);
            lines.push((
                format!("fk_{}_{number}", name(child)),
                name(child),
                format!("{}_{number}_id", SUBJECTS[parent % 10]),
                name(parent),
                action,
                stage,
            ));
        }
    }
    let mut plan = plan(&lines, &STAGES);
    let cascades: Vec<Value> = (lines.iter().enumerate())
        .filter(|(_, line)| line.4 == "Cascade")
        .take(400)
        .map(|(place, line)| json!({"from": table(&line.3), "keys": [key(line)], "reach": {"Exact": (place * 7_919) % 5_000}}))
        .collect();
    plan["cascades"] = Value::Array(cascades);
    let mut status = complete();
    status["stages"] = STAGES
        .iter()
        .enumerate()
        .map(|(place, name)| {
            stage(
                name,
                lines.iter().filter(|line| line.5 == Some(place)).count(),
                "2026-11-24T09:08:00Z",
                "2026-11-24T09:31:00Z",
            )
        })
        .collect();
    let count = plan["operations"].as_array().map_or(0, Vec::len);
    status["steps"] = json!({"done": count, "total": count, "progress": format!("{count}/{count}")});
    status["plan"]["counts"]["operations"] = json!(count);
    status["validation"] = (lines.iter().enumerate())
        .filter(|(_, line)| line.5.is_some())
        .map(|(place, line)| json!({"issueType": format!("orphans: {}.{} -> {}.id", line.1, line.2, line.3), "count": if place % 7 == 0 { place * 13 } else { 0 }}))
        .collect();
    Example { migration: migration("three-hundred-tables", &lines, &STAGES, status), plan }
}

/// What no page may take for markup.
pub const MARKUP: &str =
    "</title></style></script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">";

/// A migration in which whatever a person or a database can choose is markup.
pub fn hostile() -> Example {
    let mut example = shop();
    let (migration, plan) = (&mut example.migration, &mut example.plan);
    migration["spec"]["contact"] = json!(MARKUP);
    migration["spec"]["database"]["host"] = json!(MARKUP);
    let status = &mut migration["status"];
    status["message"] = json!(MARKUP);
    for place in ["conditions", "gates"] {
        for each in status[place].as_array_mut().into_iter().flatten() {
            each["message"] = json!(MARKUP);
        }
    }
    status["gates"][0]["approval"]["approvedBy"] = json!(MARKUP);
    status["gates"][0]["approval"]["reason"] = json!(MARKUP);
    status["validation"][0]["issueType"] = json!(format!("orphans: {MARKUP}"));
    status["stages"][0]["name"] = json!(MARKUP);
    status["jobs"][0]["message"] = json!(MARKUP);
    status["backup"]["location"] = json!(MARKUP);
    plan["warnings"] = json!([MARKUP]);
    plan["stages"][0]["name"] = json!(MARKUP);
    plan["server"]["version_text"] = json!(MARKUP);
    // A table's name has 64 characters at most.
    let name = "<script>document.title='broken'</script>";
    let text = plan
        .to_string()
        .replace("\"bookmark_folders\"", &format!("{name:?}"))
        .replace("\"fk_bookmarks_user\"", "\"'\\\"><script>1</script>\"");
    *plan = serde_json::from_str(&text).unwrap_or_default();
    example
}

fn table(name: &str) -> Value {
    json!({"schema": "shop", "table": name})
}

fn key((name, child, column, parent, action, _): &Line) -> Value {
    json!({
        "name": name, "child": table(child), "columns": [column], "parent": table(parent), "parent_columns": ["id"],
        "on_delete": action, "on_update": "NoAction",
    })
}

/// What SHOW CREATE TABLE says of a table with the keys that were there before.
fn image(name: &str, lines: &[Line]) -> String {
    let mut image = format!("CREATE TABLE `{name}` (\n  `id` int NOT NULL,\n  PRIMARY KEY (`id`)");
    for (key, child, column, parent, action, stage) in lines {
        if child == name && stage.is_none() {
            let clause = match *action {
                "Cascade" => " ON DELETE CASCADE",
                "SetNull" => " ON DELETE SET NULL",
                "Restrict" => " ON DELETE RESTRICT",
                _ => "",
            };
            image.push_str(&format!(
                ",\n  CONSTRAINT `{key}` FOREIGN KEY (`{column}`) REFERENCES `{parent}` (`id`){clause}"
            ));
        }
    }
    image.push_str("\n) ENGINE=InnoDB");
    image
}

fn plan(lines: &[Line], stages: &[&str]) -> Value {
    let mut operations: Vec<Value> = Vec::new();
    let mut add = |what: String, section: Value, action: Value, lock: &str, milliseconds: usize| {
        let number = operations.len() + 1;
        operations.push(json!({
            "id": format!("{number:03}-{what}"), "section": section, "action": action, "forward": null, "inverse": null, "lock": lock,
            "estimate": {"rows": 1_200 * number, "bytes": 65_536 * number, "milliseconds": milliseconds}, "path": "spec",
        }));
    };
    let new: Vec<&Line> = lines.iter().filter(|line| line.5.is_some()).collect();
    for line in new.iter().filter(|line| line.4 != "Restrict" && line.4 != "NoAction") {
        let policy = if line.4 == "SetNull" { "SetNull" } else { "Delete" };
        add(
            format!("orphans-{}", line.0),
            json!("CleanUp"),
            json!({"RemoveOrphans": {"key": key(line), "policy": policy}}),
            "Batched",
            4_000,
        );
    }
    let before = json!({
        "name": "owner_id", "ordinal": 2, "data_type": "int", "column_type": "int", "nullable": true, "default": null, "extra": "",
        "character_set": null, "collation": null, "comment": "", "generation_expression": null, "srs_id": null,
    });
    if let Some(first) = new.first() {
        let modify =
            json!({"ModifyColumn": {"table": table(&first.1), "before": before, "after_type": "bigint unsigned"}});
        add(format!("modify-column-{}-owner_id", first.1), json!("FixTypes"), modify, "Copy", 92_000);
        let unique =
            json!({"AddUnique": {"table": table(&first.1), "index": "uq_once", "columns": ["user_id", "owner_id"]}});
        add("add-unique-uq_once".to_owned(), json!("AddUniques"), unique, "OnlineBuild", 6_000);
    }
    for place in 0..stages.len() {
        for line in new.iter().filter(|line| line.5 == Some(place)) {
            let index =
                json!({"AddIndex": {"table": table(&line.1), "index": format!("by_{}", line.2), "columns": [line.2]}});
            add(format!("add-index-{}", line.0), json!({"Stage": place}), index, "OnlineBuild", 5_000);
            let key = json!({"AddForeignKey": {"key": key(line), "policy": "Delete"}});
            add(format!("add-key-{}", line.0), json!({"Stage": place}), key, "Metadata", 800);
        }
    }
    let mut images = serde_json::Map::new();
    for name in lines.iter().flat_map(|line| [&line.1, &line.3]) {
        images.insert(format!("shop.{name}"), json!(image(name, lines)));
    }
    json!({
        "format": 1, "digest": "", "content_digest": "sha256:content",
        "server": {"flavour": "MySql", "version": {"major": 9, "minor": 7, "patch": 4}, "version_text": "9.7.4 MySQL Community Server",
            "server_uuid": "8f0e2c1a-6d1f-11f0-9d1b-0242ac120002", "native_foreign_keys": false, "lower_case_table_names": 0},
        "schema": "shop", "tables": images, "operations": operations, "adopted": [key(&lines[0])],
        "stages": stages.iter().map(|name| json!({"name": name, "expect": []})).collect::<Vec<_>>(), "warnings": [],
    })
}

fn migration(name: &str, lines: &[Line], stages: &[&str], status: Value) -> Value {
    let of_stage = |place: usize| -> Vec<Value> {
        let wanted = lines.iter().filter(|line| line.5 == Some(place));
        wanted
            .map(|line| json!({"name": line.0, "table": line.1, "columns": [line.2], "references": {"table": line.3, "columns": ["id"]}, "onDelete": line.4}))
            .collect()
    };
    let stages: Vec<Value> =
        stages.iter().enumerate().map(|(place, name)| json!({"name": name, "foreignKeys": of_stage(place)})).collect();
    json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
        "metadata": {"name": name, "namespace": "shop", "uid": "5a3e", "generation": 1},
        "spec": {
            "contact": "#db-oncall",
            "database": {"host": "mysql", "name": "shop", "credentialsSecretRef": {"name": "shop-migrator"}},
            "backup": {"type": "Job", "verification": "Inspect",
                "job": {"tool": "Mysqldump", "image": "mysql:8.4", "destination": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "backups"}}}},
            "rehearsal": {"enabled": false},
            "stages": stages,
            "gates": [{"before": {"phase": "CleanUp"}, "approval": "Required", "window": {"days": ["Tue", "Wed"], "start": "02:00", "duration": "8h", "timeZone": "UTC"}},
                {"before": {"phase": "Copy"}, "approval": "Required"}],
        },
        "status": status,
    })
}

fn condition(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-24T09:00:00Z"})
}

fn stage(name: &str, keys: usize, started: &str, finished: &str) -> Value {
    json!({"name": name, "state": "Complete", "foreignKeys": keys, "added": keys, "verified": keys, "started": started, "finished": finished})
}

/// The status of one that is complete: planned in the evening, approved in the morning.
fn complete() -> Value {
    let said =
        "24 foreign keys and 1 unique constraint are there and proven; 1,271 rows and values are kept in quarantine";
    let phase = |name: &str, started: &str, finished: &str| json!({"name": name, "started": format!("2026-11-{started}Z"), "finished": format!("2026-11-{finished}Z"), "background": name != "FixTypes"});
    let done = |name: &str, message: &str| condition(name, "True", "Succeeded", message);
    let approval = |name: &str, by: &str, why: &str, rows: Value, at: &str| json!({"name": name, "decision": "Approve", "approvedBy": by, "reason": why, "planDigest": "PLAN", "maxRows": rows, "at": at});
    json!({
        "observedGeneration": 1, "phase": "Complete", "message": said, "attempt": 1, "contentDigest": "sha256:7d1f0a5b3c29",
        "startedAt": "2026-11-24T09:02:11Z", "finishedAt": "2026-11-24T09:33:20Z",
        "plan": {"digest": "PLAN", "configMaps": ["plan-0"], "generation": 1, "computedAt": "2026-11-23T17:20:08Z",
            "counts": {"operations": 69, "tables": 19, "typeFixes": 1, "uniqueConstraints": 1, "indexes": 24, "foreignKeys": 24, "adopted": 1, "copies": 1},
            "estimates": {"rows": 1_960_000, "bytes": 838_860_800, "durationSeconds": 1_650, "rehearsedSeconds": 1_480, "worstCascadeRows": 20_816,
                "worstCascade": "users -> notifications: 20,816 rows deleted (exact)"}},
        "steps": {"done": 69, "total": 69, "progress": "69/69"},
        "conditions": [
            condition("Ready", "True", "Complete", said), condition("Succeeded", "True", "Complete", said), condition("Finished", "True", "Complete", said),
            done("PreflightPassed", "MySQL 9.7.4, 41 sessions, no replica"), done("Planned", "69 operations on 19 tables"),
            done("BackedUp", "1.2 GiB in the claim backups, restored and compared"), done("Rehearsed", "the whole plan ran on the restored copy"),
            done("Validated", "1,254 rows break a rule that is to be added"), done("CleanedUp", "1,251 orphans and 3 duplicates are in quarantine"),
            done("TypesFixed", "1 column changed"), done("UniquesAdded", "1 unique constraint added"), done("ForeignKeysAdded", "24 keys proven"),
            condition("SchemaUpdated", "True", "Skipped", "spec.schemaUpdate is left out"), done("Tested", "24 keys probed, 3 scenarios, 1 Job"),
            condition("Soaked", "True", "Skipped", "spec.soak is left out"),
        ],
        "phases": [
            phase("Preflight", "23T17:20:00", "23T17:20:02"), phase("Plan", "23T17:20:02", "23T17:20:08"), phase("BackUp", "23T17:20:08", "23T17:22:40"),
            phase("Rehearse", "23T17:22:40", "23T17:23:55"), phase("Validate", "23T17:23:55", "23T17:24:12"), phase("CleanUp", "23T17:24:12", "24T09:05:31"),
            phase("FixTypes", "24T09:05:31", "24T09:07:28"), phase("AddUniques", "24T09:07:28", "24T09:07:34"), phase("AddForeignKeys", "24T09:07:34", "24T09:31:40"),
            phase("UpdateSchema", "24T09:31:40", "24T09:31:40"), phase("Test", "24T09:31:40", "24T09:32:50"), phase("Soak", "24T09:32:50", "24T09:32:50"),
            phase("Prove", "24T09:32:50", "24T09:33:20"),
        ],
        "stages": [stage("users", 10, "2026-11-24T09:07:34Z", "2026-11-24T09:16:02Z"), stage("remaining", 14, "2026-11-24T09:16:02Z", "2026-11-24T09:31:40Z")],
        "validation": [
            {"issueType": "orphans: bookmarks.user_id -> users.id", "count": 1_040}, {"issueType": "orphans: comments.author_id -> users.id", "count": 17},
            {"issueType": "orphans: attachments.comment_id -> comments.id", "count": 194}, {"issueType": "duplicates: user_auth_providers (user_id, provider)", "count": 3},
            {"issueType": "orphans: protocols.county_id -> counties.id", "count": 0}, {"issueType": "orphans: sessions.user_id -> users.id", "count": 0},
        ],
        "quarantine": {"orphans": 1_251, "duplicates": 3, "cascaded": 0, "values": 17},
        "gates": [
            {"before": {"phase": "CleanUp"}, "state": "Open", "reason": "Approved", "message": "approved by alice@example.com", "since": "2026-11-24T09:02:10Z",
                "approval": approval("cleanup", "alice@example.com", "counted the orphans with the data team", json!(1_300), "2026-11-24T09:02:09Z")},
            {"before": {"phase": "Copy"}, "state": "Open", "reason": "Approved", "message": "approved by bob@example.com", "since": "2026-11-24T09:02:50Z",
                "approval": approval("copy", "bob@example.com", "nobody writes to bookmarks before 10", Value::Null, "2026-11-24T09:02:49Z")},
        ],
        "backup": {"job": "m-backup-1", "attempt": 1, "takenAt": "2026-11-23T17:20:11Z", "finishedAt": "2026-11-23T17:22:40Z", "location": "claim backups, shop/2026-11-23",
            "bytes": 1_288_490_188, "sha256": "9f2c4e0d7a61b8c3", "tables": 21, "rows": 4_212_118, "verified": "Restore",
            "restore": {"job": "m-verify-1", "attempt": 1, "startedAt": "2026-11-23T17:21:20Z", "finishedAt": "2026-11-23T17:22:38Z", "serverVersion": "9.7.4",
                "tables": 21, "rows": 4_212_118, "objects": 4, "bytes": 2_147_483_648_u64}},
        "rehearsal": {"startedAt": "2026-11-23T17:22:41Z", "finishedAt": "2026-11-23T17:23:54Z", "planDigest": "PLAN", "job": "m-verify-1", "backupAttempt": 1, "passed": true,
            "orphans": 1_251, "duplicates": 3, "quarantinedRows": 1_254, "quarantinedValues": 17, "foreignKeys": 25, "probes": 24, "scenarios": 3,
            "changeMilliseconds": 1_480_000, "undoMilliseconds": 310_000, "identical": true,
            "phases": [{"name": "CleanUp", "milliseconds": 171_000}, {"name": "FixTypes", "milliseconds": 98_000}, {"name": "AddForeignKeys", "milliseconds": 1_180_000}],
            "slowest": [{"operation": "020-modify-column-bookmarks-owner_id", "table": "bookmarks", "lock": "Copy", "milliseconds": 97_200}, {"operation": "001-orphans-fk_bookmarks_user", "table": "bookmarks", "lock": "Batched", "milliseconds": 41_000}]},
        "tested": {"probes": 24, "scenarios": 3, "unprobed": 0},
        "jobs": [{"name": "m-test-app-tests-1", "purpose": "Test", "test": "app-tests", "attempt": 1, "state": "Succeeded", "started": "2026-11-24T09:31:58Z", "finished": "2026-11-24T09:32:44Z", "message": "64 tests passed"}],
        "evidence": {"configMap": "referential-integrity-evidence", "digest": "sha256:41c07e1d", "signedBy": "sha256:0d7e"},
    })
}
