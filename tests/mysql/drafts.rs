//! `kubectl holdfast discover` and `import` on a real server: what is proposed and with which evidence, that nothing can be written
//! meanwhile, and that a rollout of an imported manifest ends where the files themselves would.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use holdfast::api::SchemaMigration;
use holdfast::draft::discover::{Evidence, Reading, candidates};
use holdfast::mysql::catalogue::read_catalogue;
use holdfast::mysql::inclusion::{Bounds, Reader};
use holdfast::mysql::report::MigrationOutcome;
use holdfast::mysql::{SessionLimits, TlsMode};
use holdfast::plan::input::tables;
use holdfast::plan::sql_text::split;
use holdfast::plan::{Section, build};
use serde_json::Value;

use crate::common::{Fresh, in_fresh_schema, target};
use crate::database::{Database, run_section};

const SHOP: &[&str] = &[
    "CREATE TABLE users (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20))",
    "CREATE TABLE posts (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id INT UNSIGNED NOT NULL, editor_id INT UNSIGNED NULL, INDEX (user_id))",
    "CREATE TABLE post_tags (post_id INT NOT NULL, tag VARCHAR(20) NOT NULL, PRIMARY KEY (post_id, tag))",
    "CREATE TABLE notes (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id INT NOT NULL, gizmo_id INT NULL)",
    "INSERT INTO users (name) VALUES ('a'), ('b'), ('c'), ('d'), ('e'), ('f')",
    "DELETE FROM users WHERE id IN (2, 4)",
    "INSERT INTO posts (user_id, editor_id) WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199) \
     SELECT ELT(1 + i % 4, 1, 3, 5, 6), IF(i % 3 = 0, 1, NULL) FROM n",
    "UPDATE posts SET user_id = 99 WHERE id = 7",
    "INSERT INTO post_tags SELECT id, 'x' FROM posts",
    "INSERT INTO notes (user_id) VALUES (1), (3)",
];

async fn fill(fresh: &Fresh, statements: &[&str]) {
    let mut connection = fresh.connect().await;
    for statement in statements {
        connection.run(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    // Estimates of rows decide what is sampled.
    connection.run("ANALYZE TABLE users, posts, post_tags, notes").await.unwrap();
    connection.close().await.unwrap();
}

/// Runs the plugin; standard input is empty.
fn plugin(arguments: &[&str]) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-holdfast"))
        .args(arguments)
        .env("MYSQL_PWD", &target().password)
        .env_remove("KUBECONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn discover(schema: &str, more: &[&str]) -> (i32, String, String) {
    let target = target();
    let url = format!("mysql://{}@{}:{}/{schema}", target.username, target.host, target.port);
    let tls = if target.tls == TlsMode::Disabled { "disabled" } else { "required" };
    let mut arguments = vec!["discover", "--url", &url, "--tls-mode", tls];
    arguments.extend(more);
    plugin(&arguments)
}

fn lint(manifest: &str) -> String {
    let report = holdfast::cli::lint::look(manifest, jiff::Timestamp::now());
    assert_eq!(report.objects, 1);
    format!("{:?}", report.findings)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_proposed_with_their_evidence_and_the_manifest_passes_lint() {
    in_fresh_schema(|fresh| async move {
        fill(&fresh, SHOP).await;
        let (code, out, err) = discover(fresh.schema.as_str(), &["-o", "json"]);
        assert_eq!(code, 0, "{err}");
        let found: Value = serde_json::from_str(&out).unwrap();
        let key = |list: &str, column: &str| {
            let all = found[list].as_array().unwrap();
            all.iter()
                .find(|each| each["key"]["columns"][0] == column)
                .cloned()
                .unwrap_or_else(|| panic!("no {column} in {list}: {found:#}"))
        };
        let user = key("proposed", "user_id");
        assert_eq!(
            (user["data"]["read"].as_str(), user["data"]["rows"].as_u64(), user["data"]["orphans"].as_u64()),
            (Some("Exact"), Some(200), Some(1))
        );
        assert_eq!(
            (user["key"]["onDelete"].as_str(), user["key"]["orphans"].as_str()),
            (Some("Restrict"), Some("Fail"))
        );
        assert_eq!(key("proposed", "editor_id")["key"]["onDelete"], "SetNull");
        assert_eq!(key("proposed", "post_id")["key"]["onDelete"], "Cascade");
        let note = key("uncertain", "user_id");
        assert_eq!(note["obstacle"]["modifyColumn"]["type"], "INT UNSIGNED", "{note}");
        assert_eq!(found["leftOut"][0]["column"], "notes.gizmo_id");

        let (code, out, err) = discover(fresh.schema.as_str(), &[]);
        assert_eq!(code, 0, "{err}");
        assert_eq!(lint(&out), "[]", "{out}");
        let migration: SchemaMigration = serde_yaml::from_str(&out).unwrap();
        let stages: Vec<usize> = migration.spec.stages.iter().map(|stage| stage.foreign_keys.len()).collect();
        assert_eq!(stages, [3]);
        // What is uncertain becomes an entry when its first sign is removed; its own comments stay comments then.
        let is_entry = |rest: &&str| rest.starts_with("- ") || rest.starts_with("  ") || rest.starts_with("# ");
        let uncommented = |line: &str| match line.strip_prefix("    # ").filter(is_entry) {
            Some(rest) => format!("    {rest}\n"),
            None => format!("{line}\n"),
        };
        let bare: String = out.lines().map(uncommented).collect();
        let migration: SchemaMigration = serde_yaml::from_str(&bare).unwrap_or_else(|error| panic!("{error}: {bare}"));
        assert_eq!(migration.spec.stages[0].foreign_keys.len(), 4, "{bare}");
        assert!(out.contains("1 orphan"), "{out}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposed_manifest_can_be_planned() {
    in_fresh_schema(|fresh| async move {
        fill(&fresh, SHOP).await;
        let (_, out, _) = discover(fresh.schema.as_str(), &[]);
        let migration: SchemaMigration = serde_yaml::from_str(&out).unwrap();
        let mut connection = fresh.connect().await;
        let catalogue =
            read_catalogue(&mut connection, &fresh.schema, &tables(&migration.spec).unwrap()).await.unwrap();
        build(&migration.spec, &catalogue).unwrap_or_else(|problems| panic!("{problems:?}"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_above_the_limit_is_sampled_and_time_that_is_up_is_told() {
    in_fresh_schema(|fresh| async move {
        fill(&fresh, SHOP).await;
        for (time, exact_rows, wanted) in [(60, 100_000, "Exact"), (60, 50, "Sampled"), (0, 50, "NotRead")] {
            let bounds = Bounds { time: Duration::from_secs(time), exact_rows };
            let mut reader = Reader::open(&fresh.target, bounds).await.unwrap();
            let catalogue = reader.schema(&fresh.schema).await.unwrap();
            let (found, _) = candidates(&catalogue);
            let user = found
                .iter()
                .find(|each| each.key.child.table.as_str() == "posts" && each.key.columns[0].as_str() == "user_id")
                .unwrap();
            let evidence = reader.look(&catalogue, &user.key).await.unwrap();
            let read = match &evidence {
                Evidence::Read(inclusion) => {
                    assert_eq!((inclusion.rows, inclusion.distinct, inclusion.orphans), (200, 5, 1));
                    if inclusion.reading == Reading::Exact { "Exact" } else { "Sampled" }
                }
                Evidence::NotRead(_) => "NotRead",
                Evidence::NotAsked => "NotAsked",
            };
            assert_eq!(read, wanted, "{evidence:?}");
            reader.close().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_itself_refuses_to_write_on_such_a_connection() {
    in_fresh_schema(|fresh| async move {
        fill(&fresh, SHOP).await;
        let mut connection = fresh.target.connect_to_read(SessionLimits::default()).await.unwrap();
        connection.run(&format!("USE {}", fresh.schema.quoted())).await.unwrap();
        for statement in ["DELETE FROM users", "ALTER TABLE users ADD x INT", "CREATE TABLE t (id INT)"] {
            let error = connection.run(statement).await.unwrap_err();
            assert_eq!(error.code, Some(1792), "{statement}: {error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_without_any_sign_is_no_success() {
    in_fresh_schema(|fresh| async move {
        let mut connection = fresh.connect().await;
        connection.run("CREATE TABLE a (x INT)").await.unwrap();
        let (code, _, err) = discover(fresh.schema.as_str(), &[]);
        assert_eq!(code, 1);
        assert!(err.contains("no key is certain enough"), "{err}");
        let (code, _, err) = discover("holdfast_no_such_schema", &[]);
        assert_eq!(code, 3, "{err}");
        assert!(err.contains("does not exist") && err.contains("name another schema"), "{err}");
    })
    .await;
}

/// SHOW CREATE TABLE as a set of lines; an index that only serves a key is known by its columns, since each side names it in its way.
async fn shape(database: &Database, table: &str) -> BTreeSet<String> {
    let text = database.definition(&database.table(table)).await;
    text.lines()
        .map(|line| {
            let line = line.trim().trim_end_matches(',');
            match line.strip_prefix("KEY ").and_then(|rest| rest.split_once(' ')) {
                Some((_, columns)) => format!("KEY {columns}"),
                None => line.to_owned(),
            }
        })
        .collect()
}

/// Plans a manifest and carries it out.
async fn roll_out(database: &Database, manifest: &str) {
    let migration: SchemaMigration = serde_yaml::from_str(manifest).unwrap();
    let mut connection = database.application().await;
    let catalogue = read_catalogue(&mut connection, &database.schema, &tables(&migration.spec).unwrap()).await.unwrap();
    let plan = build(&migration.spec, &catalogue).unwrap_or_else(|problems| panic!("{problems:?}\n{manifest}"));
    let session = database.engine().begin("shop/import", &plan).await.unwrap();
    let mut sections = vec![Section::CleanUp, Section::FixTypes, Section::AddUniques];
    sections.extend((0..plan.stages.len()).map(Section::Stage));
    for section in sections {
        run_section(&session, section).await.unwrap_or_else(|error| panic!("{section:?}: {error}"));
    }
    session.finish(MigrationOutcome::Complete).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rollout_of_an_imported_manifest_ends_where_the_files_would() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mysql/imported");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let base: Vec<String> = split(&read("base.sql")).unwrap().into_iter().map(|statement| statement.text).collect();
    let base: Vec<&str> = base.iter().map(String::as_str).collect();
    let by_files = Database::fresh("import_files", &base).await;
    let by_plan = Database::fresh("import_plan", &base).await;
    for name in ["V1__columns.sql", "V2__keys.sql", "V10__more.sql"] {
        let text = read(name);
        let forward = text.split("-- +goose Down").next().unwrap();
        for statement in split(forward).unwrap() {
            by_files.run(&[&statement.text]).await;
        }
    }
    let place = |name: &str| folder.join(name).display().to_string();
    let (code, manifest, err) = plugin(&[
        "import",
        "--schema",
        by_plan.schema.as_str(),
        &place("V1__columns.sql"),
        &place("V2__keys.sql"),
        &place("V10__more.sql"),
    ]);
    // MODIFY says NOT NULL, which modifyColumn keeps as it is: a person should know.
    assert_eq!(code, 1, "{err}");
    assert_eq!(err.lines().filter(|line| line.contains(".sql:")).count(), 1, "{err}");
    assert!(err.contains("V1__columns.sql:4") && err.contains("NOT NULL"), "{err}");
    assert_eq!(lint(&manifest), "[]", "{manifest}");

    Box::pin(roll_out(&by_plan, &manifest)).await;
    for table in ["users", "agencies", "orders", "order_lines", "logs"] {
        assert_eq!(shape(&by_plan, table).await, shape(&by_files, table).await, "{manifest}");
    }
    let rows = "SELECT GROUP_CONCAT(CONCAT_WS('/', id, agency_id, short) ORDER BY id) FROM logs";
    assert_eq!(by_plan.text(rows).await, by_files.text(rows).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rollout_of_a_difference_ends_where_the_wanted_schema_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mysql/imported");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let statements =
        |text: &str| -> Vec<String> { split(text).unwrap().into_iter().map(|statement| statement.text).collect() };
    let base = statements(&read("base.sql"));
    let base: Vec<&str> = base.iter().map(String::as_str).collect();
    let wanted = Database::fresh("difference_wanted", &base).await;
    let actual = Database::fresh("difference_actual", &base).await;
    wanted
        .run(&[
            "ALTER TABLE logs ADD agency_id INT NULL, MODIFY user_id BIGINT UNSIGNED NOT NULL",
            "CREATE INDEX by_text ON logs (text)",
            "ALTER TABLE users ADD UNIQUE uq_email (email)",
            "ALTER TABLE logs ADD CONSTRAINT fk_a FOREIGN KEY (agency_id) REFERENCES agencies (id) ON DELETE SET NULL",
            "ALTER TABLE logs ADD CONSTRAINT fk_u FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE",
        ])
        .await;
    actual.run(&["ALTER TABLE agencies ADD more INT NULL"]).await;
    let target = target();
    let url = |schema: &str| format!("mysql://{}@{}:{}/{schema}", target.username, target.host, target.port);
    let tls = if target.tls == TlsMode::Disabled { "disabled" } else { "required" };
    let (own, other) = (url(actual.schema.as_str()), url(wanted.schema.as_str()));
    let arguments = ["import", "--wanted-url", &other, "--url", &own, "--tls-mode", tls];
    let (code, manifest, err) = plugin(&arguments);
    assert_eq!(code, 0, "{err}");
    assert_eq!(lint(&manifest), "[]", "{manifest}");
    assert!(manifest.contains("columns more"), "{manifest}");
    Box::pin(roll_out(&actual, &manifest)).await;
    for table in ["users", "orders", "order_lines", "logs"] {
        assert_eq!(shape(&actual, table).await, shape(&wanted, table).await, "{manifest}");
    }
    let (code, _, err) = plugin(&arguments);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("has everything"), "{err}");
}

/// `plan` of a manifest that adds a key from `post_tags` to `posts` or to a table that is not there.
fn plan(schema: &str, parent: &str, more: &[&str]) -> (i32, String, String) {
    let manifest = serde_json::json!({
        "apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration", "metadata": {"name": "tags"},
        "spec": {
            "database": {"host": "mysql", "name": schema, "credentialsSecretRef": {"name": "migrator"}},
            "backup": {"type": "External", "verification": "None"}, "rehearsal": {"enabled": false}, "gates": [],
            "stages": [{"name": "tags", "foreignKeys": [{"name": "fk_tags_post", "table": "post_tags", "columns": ["post_id"],
                "references": {"table": parent, "columns": ["id"]}, "onDelete": "Cascade", "orphans": "Fail"}]}],
        },
    });
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plan-{schema}-{parent}.yaml"));
    std::fs::write(&file, serde_yaml::to_string(&manifest).unwrap()).unwrap();
    let target = target();
    let as_reader = more == ["as reader"];
    let user = if as_reader { format!("reader_{schema}") } else { target.username.clone() };
    let url = format!("mysql://{user}@{}:{}/{schema}", target.host, target.port);
    let tls = if target.tls == TlsMode::Disabled { "disabled" } else { "required" };
    let more = if as_reader { &[] } else { more };
    let mut arguments = vec!["plan", "-f", file.to_str().unwrap(), "--url", &url, "--tls-mode", tls];
    arguments.extend(more);
    plugin(&arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_planned_on_a_database_without_a_cluster() {
    in_fresh_schema(|fresh| async move {
        fill(&fresh, SHOP).await;
        let schema = fresh.schema.as_str();
        let (code, out, err) = plan(schema, "posts", &[]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(out.contains("fk_tags_post") && out.contains("sha256:"), "{out}");
        let (code, sql, _) = plan(schema, "posts", &["-o", "sql"]);
        assert_eq!(code, 0);
        assert!(sql.contains("ADD CONSTRAINT `fk_tags_post`") && sql.contains("LOCK=NONE"), "{sql}");
        let (_, back, _) = plan(schema, "posts", &["tags", "-o", "rollback-sql"]);
        assert!(back.contains("DROP FOREIGN KEY `fk_tags_post`"), "{back}");
        let (_, json, _) = plan(schema, "posts", &["-o", "json"]);
        let whole: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(whole["operations"].as_array().unwrap().len(), sql.matches("\n-- 0").count(), "{sql}");
        // Nothing was written, and no journal was made.
        let mut connection = fresh.connect().await;
        let keys =
            sqlx::query("SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ?")
                .bind(schema)
                .fetch_one(connection.raw())
                .await
                .unwrap();
        assert_eq!(sqlx::Row::get::<i64, _>(&keys, 0), 0);
        connection.close().await.unwrap();

        // SELECT on the schema is enough, and what it does not show is said.
        let mut connection = fresh.connect().await;
        let password = target().password;
        let account = format!("'reader_{schema}'@'%'");
        for statement in [
            format!("DROP USER IF EXISTS {account}"),
            format!("CREATE USER {account} IDENTIFIED BY '{password}'"),
            format!("GRANT SELECT ON `{schema}`.* TO {account}"),
        ] {
            connection.run(&statement).await.unwrap();
        }
        let (code, out, err) = plan(schema, "posts", &["as reader"]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("fk_tags_post") && err.contains("note: "), "{out}{err}");
        connection.run(&format!("DROP USER {account}")).await.unwrap();
        connection.close().await.unwrap();

        let (code, out, err) = plan(schema, "nowhere", &["-o", "sql"]);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("1 problem in ") && err.contains("\nspec.stages[0].foreignKeys[0].references"), "{err}");
        let (code, _, err) = plan(schema, "posts", &["another"]);
        assert_eq!(code, 3, "{err}");
        assert!(err.contains("0 SchemaMigrations of the name another"), "{err}");
    })
    .await;
}
