//! What the sample application's Jobs run, on a real server: its tests with and without the keys, and the schema file that follows them.

use super::sample::connection::{Server, sql};
use super::sample::schema::{execute, tables};
use super::sample::service::Application;
use super::sample::{generate, relations, snapshot, test_server};
use super::traffic::add_keys;

/// Rows of each table.
async fn counts(server: &Server) -> Vec<(String, i64)> {
    let mut connection = server.connect().await.unwrap();
    let mut found = Vec::new();
    for table in tables(&mut connection).await.unwrap() {
        let query = format!("SELECT COUNT(*) FROM `{table}`");
        let row = sqlx::raw_sql(sql(query)).fetch_one(&mut connection).await.unwrap();
        found.push((table, sqlx::Row::get(&row, 0)));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_passes_its_tests_once_the_keys_are_in_and_the_older_release_does_not() {
    let server = test_server::server_with_schema("sample_app_tests").await;
    generate::generate(&server, 10_000, 5, 3).await.unwrap();
    let application = Application::on(&server).await;
    let (before, rows) = (snapshot::take(&server).await.unwrap(), counts(&server).await);

    let relies_on_keys = [
        "deleting a user removes what is the user's own, and nobody else's",
        "a bookmark of a user who does not exist is refused",
        "a county with protocols cannot be deleted",
        "an agency's membership ends with the agency",
    ];
    for order in ["user-first", "bookmarks-first"] {
        let without_keys = application.run("test", &[("SIGN_UP", order)]);
        let (all, failed) = without_keys.tests();
        assert!(!without_keys.succeeded && all == 9 && failed == relies_on_keys, "{without_keys:?}");
    }
    assert_eq!(counts(&server).await, rows, "tests leave rows, also where they fail");

    add_keys(&server).await;
    let keyed = snapshot::take(&server).await.unwrap();
    let passed = application.run("test", &[]);
    assert!(passed.succeeded && passed.tests() == (9, Vec::new()), "{passed:?}");
    let older = application.run("test", &[("SIGN_UP", "bookmarks-first")]);
    let sign_up = "signing up with imported bookmarks saves the user and the bookmarks".to_owned();
    assert!(!older.succeeded && older.tests() == (9, vec![sign_up]), "{older:?}");
    // The end of its log is what a person sees of it.
    let end: Vec<&str> = older.text.trim().lines().rev().take(20).collect();
    assert!(end.iter().any(|line| line.contains("fk_bookmarks_user")), "{end:?}");

    assert_eq!(counts(&server).await, rows, "tests leave rows");
    let after = snapshot::take(&server).await.unwrap();
    assert_eq!(snapshot::compare(&keyed, &after, None).differences, Vec::<String>::new());
    assert!(before.tables.len() == after.tables.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_killed_run_of_the_tests_left_are_removed_by_a_later_one() {
    let server = test_server::server_with_schema("sample_app_leftovers").await;
    let application = Application::on(&server).await;
    add_keys(&server).await;
    let mut connection = server.connect().await.unwrap();
    for statement in [
        "INSERT INTO users (id, email, created_at) VALUES (1, 'npm-test-old@test.example', NOW() - INTERVAL 2 HOUR), \
         (2, 'npm-test-new@test.example', NOW()), (3, 'somebody@npm-test-else.example', NOW() - INTERVAL 2 HOUR)",
        "INSERT INTO counties (id, name, created_at) VALUES (1, 'npm-test-county', NOW() - INTERVAL 2 HOUR)",
        "INSERT INTO protocols (id, county_id, code, title) VALUES (1, 1, 'T-1', 'npm-test-airway')",
        "INSERT INTO bookmarks (id, user_id, protocol_id) VALUES (1, 1, 1)",
    ] {
        execute(&mut connection, statement).await.unwrap();
    }
    let passed = application.run("test", &[]);
    assert!(passed.succeeded, "{passed:?}");
    let left: Vec<_> = counts(&server).await.into_iter().filter(|(_, rows)| *rows > 0).collect();
    assert_eq!(left, [("users".to_owned(), 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_file_gets_every_key_and_is_put_back() {
    let server = test_server::server_with_schema("sample_app_schema").await;
    let application = Application::on(&server).await;
    let first = [("HOLDFAST_MIGRATION_UID", "first")];

    // What the release brings is what drizzle-kit makes of the schema as the release knows it.
    let made = application.run("schema:update", &first);
    assert!(made.succeeded && made.text.contains("0 foreign keys in the catalogue"), "{made:?}");
    let released = std::fs::read_to_string("deploy/sample/app/release/schema.ts").unwrap();
    // The server lists a table's indexes in no order of its own.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let now = application.schema_file().unwrap();
    assert_eq!(sorted(&now), sorted(&released), "the release's schema file is to be made anew");
    let back = application.run("schema:restore", &first);
    assert!(back.succeeded && application.files().is_empty(), "{back:?}: {:?}", application.files());

    add_keys(&server).await;
    let all = relations::all().count();
    application.write_schema_file(&released);
    // Another try is the same migration: it does not take its own file for the one before.
    for _ in 0..2 {
        let updated = application.run("schema:update", &first);
        assert!(updated.succeeded, "{updated:?}");
        assert!(
            updated.text.contains(&format!("{all} foreign keys in the catalogue and in the schema file")),
            "{updated:?}"
        );
    }
    let with_keys = application.schema_file().unwrap();
    let written_apart =
        |relation: &&relations::Relation| relation.columns.len() > 1 || relation.child == relation.parent;
    let several: Vec<_> = relations::all().filter(written_apart).collect();
    let single = all - several.len();
    assert_eq!(with_keys.matches(".references(() => ").count(), single, "{with_keys}");
    for relation in several {
        assert!(with_keys.contains(&format!("name: \"{}\"", relation.name)), "{}", relation.name);
    }
    let with_the_new_file = application.run("test", &[]);
    assert!(with_the_new_file.succeeded, "{with_the_new_file:?}");

    // A second migration that finds the first one's file, and is taken back.
    let second = [("HOLDFAST_MIGRATION_UID", "second")];
    let nothing_yet = application.run("schema:restore", &second);
    assert!(nothing_yet.succeeded && application.schema_file().as_ref() == Some(&with_keys), "{nothing_yet:?}");
    let mut connection = server.connect().await.unwrap();
    execute(&mut connection, "ALTER TABLE bookmarks DROP FOREIGN KEY fk_bookmarks_user").await.unwrap();
    let updated = application.run("schema:update", &second);
    assert!(updated.succeeded && updated.text.contains(&format!("{} foreign keys", all - 1)), "{updated:?}");
    for _ in 0..2 {
        let back = application.run("schema:restore", &second);
        assert!(back.succeeded && application.schema_file().as_ref() == Some(&with_keys), "{back:?}");
    }
    assert_eq!(application.files(), ["schema.ts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_file_that_differs_from_the_catalogue_does_not_replace_the_one_in_use() {
    let server = test_server::server_with_schema("sample_app_differs").await;
    let other = test_server::server_with_schema("sample_app_differs_2").await;
    let application = Application::on(&server).await;
    add_keys(&server).await;
    // drizzle-kit takes it for a key to this schema's table of that name.
    let (_, _, elsewhere) = other.address();
    let statement = format!("ALTER TABLE audit_log ADD FOREIGN KEY (entity_id) REFERENCES {elsewhere}.users (id)");
    execute(&mut server.connect().await.unwrap(), &statement).await.unwrap();
    let failed = application.run("schema:update", &[("HOLDFAST_MIGRATION_UID", "uid")]);
    assert!(!failed.succeeded && application.schema_file().is_none(), "{failed:?}");
    for text in [
        "the file says and the database lacks: audit_log (entity_id) -> users (id) on delete no action",
        "the database has and the file lacks: audit_log (entity_id) -> sample_app_differs_2.users (id) on delete no action",
    ] {
        assert!(failed.text.contains(text), "{failed:?}");
    }

    let unset = application.run("schema:update", &[("HOLDFAST_MIGRATION_UID", "")]);
    assert!(!unset.succeeded && unset.text.contains("HOLDFAST_MIGRATION_UID is not set"), "{unset:?}");
}
