//! What the Job of a verified backup runs, whole: a dump of a real schema is restored into a server of its own, and the plan is rehearsed there.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use holdfast::backup::rehearsal::Instructions;
use holdfast::backup::rehearsed::End;
use holdfast::backup::{Compression, Outcome, Rehearsed, Restored, dump, login, made, storage, verify};
use holdfast::mysql::catalogue::read_catalogue;
use holdfast::mysql::checks::Checks;
use holdfast::mysql::rehearsal::Step;
use holdfast::mysql::scenarios::{Scenario, Step as Statement};
use holdfast::plan::input::tables;
use holdfast::plan::{Plan, build, stored};
use serde_json::{Value, json};

use crate::common::target;
use crate::database::{Database, PATIENCE};
use crate::planning::spec;
use crate::programs::programs;

/// A schema with orphans, duplicates, a column to fill, a column to widen, an event and a view.
const SCHEMA: &[&str] = &[
    "CREATE TABLE users (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, email VARCHAR(50) NOT NULL)",
    "CREATE TABLE bookmarks (id INT NOT NULL PRIMARY KEY AUTO_INCREMENT, user_id BIGINT UNSIGNED NOT NULL, note VARCHAR(20) NULL, \
     changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)",
    "CREATE TABLE feedback (id INT NOT NULL PRIMARY KEY, user_id BIGINT UNSIGNED NULL, agency VARCHAR(20) NOT NULL)",
    "CREATE TABLE agencies (id INT NOT NULL PRIMARY KEY, name VARCHAR(20) NOT NULL)",
    "CREATE TABLE providers (id INT NOT NULL PRIMARY KEY, user_id INT UNSIGNED NOT NULL, provider VARCHAR(20) NOT NULL)",
    "INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c'), (900, 'z')",
    "INSERT INTO bookmarks VALUES (1, 1, 'x', '2026-01-01'), (2, 2, NULL, '2026-01-02'), (3, 77, 'lost', '2026-01-03'), (4, 78, '', '2026-01-04')",
    "INSERT INTO feedback VALUES (1, 1, 'north'), (2, 99, 'south'), (3, NULL, 'south')",
    "INSERT INTO agencies VALUES (1, 'north'), (2, 'south')",
    "INSERT INTO providers VALUES (1, 1, 'password'), (2, 1, 'password'), (3, 2, 'password')",
    "CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY STARTS '2099-01-01 00:00:00' DO DELETE FROM agencies",
    "CREATE VIEW mails AS SELECT id, email FROM users",
];

fn content() -> Value {
    let key = |name: &str, table: &str, on_delete: &str, orphans: &str| {
        json!({"name": name, "table": table, "columns": ["user_id"], "references": {"table": "users", "columns": ["id"]},
            "onDelete": on_delete, "orphans": orphans})
    };
    json!({
        "typeFixes": [
            {"name": "agency", "table": "feedback", "addColumn": {"name": "agency_id", "type": "INT", "nullable": true},
             "backfill": {"fromLookup": {"table": "agencies", "match": [{"column": "agency", "equals": "name"}], "take": "id"}},
             "verify": {"maxUnmapped": 0}},
            {"name": "widen", "table": "providers", "modifyColumn": {"name": "user_id", "type": "BIGINT UNSIGNED"}},
        ],
        "uniqueConstraints": [{"name": "uq_providers", "table": "providers", "columns": ["user_id", "provider"],
            "duplicates": {"policy": "KeepNewest", "orderBy": "id"}}],
        "stages": [
            {"name": "users", "foreignKeys": [
                key("fk_bookmarks_user", "bookmarks", "Cascade", "Delete"), key("fk_feedback_user", "feedback", "SetNull", "SetNull"),
                key("fk_providers_user", "providers", "Cascade", "Fail"),
            ], "expect": [{"referencedTable": "users", "atLeast": 3}]},
        ],
    })
}

/// A schema, its plan and its dump.
struct Rehearsal {
    folder: PathBuf,
    database: Database,
    plan: Plan,
    instructions: Instructions,
    arguments: verify::Arguments,
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn planned(database: &Database, content: Value) -> Plan {
    let spec = spec(&database.schema, content);
    let mut connection = database.application().await;
    let catalogue = read_catalogue(&mut connection, &database.schema, &tables(&spec).unwrap()).await.unwrap();
    connection.close().await.unwrap();
    build(&spec, &catalogue).unwrap()
}

impl Rehearsal {
    /// `None`: this server comes without its client programs.
    fn of(test: &str, content: Value) -> Option<Self> {
        let database = wait(Database::fresh(&format!("rehearsal_{test}"), SCHEMA));
        if !database.served.comes_with_clients() {
            return None;
        }
        let plan = wait(planned(&database, content));
        let folder = std::env::temp_dir().join(format!("holdfast-rehearsal-{test}-{}", std::process::id()));
        for each in ["credentials", "private", "backup", "scratch", "plan/0", "plan/1", "programs"] {
            fs::create_dir_all(folder.join(each)).unwrap();
        }
        let [mysqld, mysql, mysqldump] = programs(&folder.join("programs"));
        let target = target();
        fs::write(folder.join("credentials/username"), &target.username).unwrap();
        fs::write(folder.join("credentials/password"), &target.password).unwrap();
        dump::run(&dump::Arguments {
            server: login::Arguments {
                host: target.host,
                port: target.port,
                credentials: folder.join("credentials"),
                ssl_mode: "REQUIRED".to_owned(),
                certificate_authority: None,
                private: folder.join("private"),
            },
            database: database.schema.to_string(),
            destination: storage::Arguments::folder(folder.join("backup")),
            compression: Compression::Zstd,
            read_back: false,
            name: "u-1".to_owned(),
            migration: "u".to_owned(),
            termination_message: folder.join("message"),
            program: mysqldump.clone(),
        })
        .unwrap();
        let made: Outcome = serde_json::from_slice(&fs::read(folder.join("message")).unwrap()).unwrap();
        let Outcome::Made(summary) = made else { panic!("{made:?}") };
        let step = |sql: &str| Statement { sql: sql.to_owned(), expect_error: None };
        let scenario = Scenario {
            name: "a user goes with everything".to_owned(),
            steps: vec![step("DELETE FROM users WHERE id = 1"), step("INSERT INTO users (email) VALUES ('new')")],
        };
        let engine = database.engine();
        let instructions = Instructions {
            plan_digest: plan.digest.clone(),
            deadline: PATIENCE,
            settings: engine.settings,
            checks: Checks { probes: true, scenarios: vec![scenario] },
        };
        let arguments = verify::Arguments {
            backup: made::Arguments {
                storage: storage::Arguments::folder(folder.join("backup")),
                name: "u-1".to_owned(),
                manifest: summary.manifest,
                migration: "u".to_owned(),
            },
            folder: folder.join("scratch"),
            private: folder.join("private"),
            storage: None,
            memory: None,
            rehearsal: Some(folder.join("instructions.json")),
            plan: vec![folder.join("plan/0"), folder.join("plan/1")],
            termination_message: folder.join("message"),
            mysqld,
            mysql,
            mysqldump,
        };
        Some(Self { folder, database, plan, instructions, arguments })
    }

    /// Lays the plan out as its ConfigMaps are mounted, cut in two, and the instructions beside it.
    fn lay_out(&self) {
        let text = serde_json::to_string(&self.plan).unwrap();
        let (first, second) = text.split_at(text.len() / 2);
        fs::write(self.folder.join("plan/0").join(stored::KEY), first).unwrap();
        fs::write(self.folder.join("plan/1").join(stored::KEY), second).unwrap();
        fs::write(self.folder.join("instructions.json"), serde_json::to_vec(&self.instructions).unwrap()).unwrap();
    }

    fn outcome(&self) -> Outcome {
        serde_json::from_slice(&fs::read(&self.arguments.termination_message).unwrap()).unwrap()
    }

    fn restored(&self) -> (Restored, Rehearsed) {
        match self.outcome() {
            Outcome::Restored(restored) => {
                let rehearsed = restored.rehearsal.clone().unwrap();
                (restored, *rehearsed)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Runs it and expects the backup to be proven and the rehearsal to fail in a step, with this in its message.
    fn fails(&self, step: Option<Step>, texts: &[&str]) -> Rehearsed {
        self.lay_out();
        let error = verify::run(&self.arguments).unwrap_err();
        let (restored, rehearsed) = self.restored();
        assert_eq!(restored.tables, 5, "the backup is proven all the same");
        let End::Failed { step: found, .. } = &rehearsed.end else { panic!("{rehearsed:?}") };
        assert_eq!(*found, step, "{rehearsed:?}");
        for text in texts {
            assert!(error.contains(text), "{text:?} is not in {error}");
        }
        rehearsed
    }

    /// The test's own server is as it was.
    fn expect_untouched(&self) {
        let schema = &self.database.schema;
        let keys = format!(
            "SELECT COUNT(*) FROM information_schema.table_constraints WHERE table_schema = '{schema}' AND constraint_type = 'FOREIGN KEY'"
        );
        assert_eq!(wait(self.database.number(&keys)), 0);
        assert_eq!(wait(self.database.number("SELECT COUNT(*) FROM bookmarks")), 4);
    }
}

#[test]
fn a_whole_plan_runs_there_and_back_on_the_copy_and_everything_is_as_before() {
    let Some(rehearsal) = Rehearsal::of("good", content()) else { return };
    rehearsal.lay_out();
    verify::run(&rehearsal.arguments).unwrap();
    let (restored, found) = rehearsal.restored();
    assert_eq!((restored.tables, restored.rows, found.plan_digest.as_str()), (5, 16, rehearsal.plan.digest.as_str()));
    assert_eq!(found.end, End::Passed { note: None }, "{found:?}");
    assert_eq!((found.orphans, found.duplicates), (3, 1), "{found:?}");
    assert_eq!((found.quarantined_rows, found.quarantined_values), (3, 1), "{found:?}");
    assert_eq!((found.foreign_keys, found.probes, found.unprobed, found.scenarios), (3, 3, 0, 1), "{found:?}");
    assert_eq!(found.tables_identical, rehearsal.plan.tables.len() as u64);
    assert!(found.undone >= 8, "{found:?}");
    let steps: Vec<Step> = found.steps.iter().map(|took| took.step).collect();
    let expected = [
        Step::Validate,
        Step::CleanUp,
        Step::FixTypes,
        Step::AddUniques,
        Step::AddForeignKeys,
        Step::FillAgain,
        Step::Test,
        Step::Prove,
        Step::Undo,
    ];
    assert_eq!(steps, expected);
    assert!(found.slowest.len() == 5 && found.slowest.is_sorted_by_key(|slow| std::cmp::Reverse(slow.milliseconds)));
    for slow in &found.slowest {
        let planned = rehearsal.plan.operations.iter().find(|operation| operation.id == slow.operation);
        assert_eq!(slow.lock, planned.map(|operation| operation.lock), "{slow:?}");
    }
    assert!(found.slowest.iter().any(|slow| slow.lock.is_some()), "{:?}", found.slowest);
    let copied =
        rehearsal.plan.operations.iter().any(|operation| operation.lock == holdfast::plan::model::LockClass::Copy);
    assert!(copied, "a copy of a table is rehearsed too");
    rehearsal.expect_untouched();
}

#[test]
fn a_statement_that_the_rows_refuse_is_named_with_its_table_and_its_place_in_the_specification() {
    let mut content = content();
    content["typeFixes"][1] = json!({"name": "short", "table": "users", "sql": {
        "up": "ALTER TABLE users ADD CONSTRAINT small CHECK (email < 'y'), ALGORITHM=COPY, LOCK=SHARED",
        "down": "ALTER TABLE users DROP CHECK small, ALGORITHM=INPLACE, LOCK=NONE",
        "verify": "SELECT id FROM users WHERE email >= 'y'"}});
    content["stages"][0]["foreignKeys"].as_array_mut().unwrap().pop();
    content["stages"][0]["expect"] = json!([]);
    let Some(rehearsal) = Rehearsal::of("refused", content) else { return };
    let found = rehearsal.fails(Some(Step::FixTypes), &["users (spec.typeFixes[1]", "small", "3819"]);
    assert_eq!((found.orphans, found.quarantined_rows > 0), (3, true), "what came before is told: {found:?}");
    rehearsal.expect_untouched();
}

#[test]
fn a_scenario_that_fails_is_named() {
    let Some(mut rehearsal) = Rehearsal::of("scenario", content()) else { return };
    let step = Statement { sql: "INSERT INTO bookmarks (user_id) VALUES (77)".to_owned(), expect_error: None };
    rehearsal.instructions.checks.scenarios[0] = Scenario { name: "a guest bookmarks".to_owned(), steps: vec![step] };
    rehearsal.fails(Some(Step::Test), &["a guest bookmarks", "step 1", "1452"]);
}

#[test]
fn a_copy_of_other_tables_than_were_planned_for_is_no_failure_of_the_plan() {
    let Some(mut rehearsal) = Rehearsal::of("other", content()) else { return };
    wait(rehearsal.database.run(&["ALTER TABLE users ADD COLUMN age INT"]));
    rehearsal.plan = wait(planned(&rehearsal.database, content()));
    rehearsal.instructions.plan_digest.clone_from(&rehearsal.plan.digest);
    rehearsal.lay_out();
    let error = verify::run(&rehearsal.arguments).unwrap_err();
    let (_, found) = rehearsal.restored();
    assert!(matches!(&found.end, End::OtherCatalogue(difference) if difference.contains("`age`")), "{found:?}");
    assert!(error.contains("other tables than the plan was made for"), "{error}");
    assert_eq!(found.steps, []);
}

#[test]
fn a_plan_that_is_not_the_one_that_was_approved_is_not_run() {
    let Some(mut rehearsal) = Rehearsal::of("digest", content()) else { return };
    rehearsal.plan.operations.pop();
    rehearsal.lay_out();
    let error = verify::run(&rehearsal.arguments).unwrap_err();
    assert!(error.contains("the rehearsal cannot begin") && error.contains(&rehearsal.plan.digest), "{error}");
    assert!(matches!(rehearsal.outcome(), Outcome::Failed(_)));
    assert!(!rehearsal.folder.join("scratch/data").exists(), "no server was made");
}

#[test]
fn a_rehearsal_ends_at_its_deadline_and_says_where_it_was() {
    let Some(mut rehearsal) = Rehearsal::of("deadline", content()) else { return };
    lasting(&mut rehearsal);
    rehearsal.instructions.deadline = Duration::from_secs(8);
    let began = Instant::now();
    rehearsal.fails(Some(Step::Test), &["did not end within spec.rehearsal.deadline (8 s)", "Test"]);
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn a_server_that_dies_meanwhile_is_told_and_the_backup_stays_proven() {
    let Some(mut rehearsal) = Rehearsal::of("killed", content()) else { return };
    lasting(&mut rehearsal);
    let (message, pid) = (rehearsal.folder.join("message"), rehearsal.folder.join("scratch/mysqld.pid"));
    let killer = thread::spawn(move || {
        let until = Instant::now() + PATIENCE;
        while !fs::read_to_string(&message).is_ok_and(|text| text.contains("\"interrupted\"")) {
            assert!(Instant::now() < until, "the rehearsal did not begin");
            thread::sleep(Duration::from_millis(20));
        }
        let pid = fs::read_to_string(pid).unwrap();
        assert!(std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
    });
    rehearsal.lay_out();
    let error = verify::run(&rehearsal.arguments).unwrap_err();
    killer.join().unwrap();
    let (restored, found) = rehearsal.restored();
    assert!(restored.tables == 5 && matches!(found.end, End::Failed { .. }), "{found:?}");
    for text in ["mysqld ended with signal: 9", "spec.backup.scratch.resources"] {
        assert!(error.contains(text), "{text:?} is not in {error}");
    }
}

/// With a check that lasts longer than any test.
fn lasting(rehearsal: &mut Rehearsal) {
    rehearsal.instructions.settings.lock_timeout = 2 * PATIENCE;
    let step = Statement { sql: format!("SELECT SLEEP({})", 2 * PATIENCE.as_secs()), expect_error: None };
    rehearsal.instructions.checks =
        Checks { probes: false, scenarios: vec![Scenario { name: "slow".to_owned(), steps: vec![step] }] };
}
