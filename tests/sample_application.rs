//! The sample application: its own unit tests, its manifests against the resource's types, and on a real server its data, its
//! traffic, and what its Jobs run.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

#[path = "sample/service_tests.rs"]
mod application;
#[path = "sample/mod.rs"]
mod sample;
#[path = "sample/sqlalchemy_tests.rs"]
mod sqlalchemy;

mod manifest {
    use std::collections::BTreeSet;

    use holdfast::api::SchemaMigration;
    use holdfast::api::constraints::{ForeignKey, OrphanPolicy, ReferentialAction};
    use serde::Deserialize;

    use super::sample::relations::{self, OnDelete, Orphans, Relation};

    const MIGRATION: &str = include_str!("../deploy/sample/migration.yaml");
    const JOB_TEMPLATES: &str = include_str!("../deploy/sample/job-templates.yaml");
    const FAILING: &str = include_str!("../deploy/sample-failing/kustomization.yaml");

    fn migration() -> SchemaMigration {
        serde_yaml::from_str(MIGRATION).unwrap()
    }

    fn templates() -> BTreeSet<String> {
        serde_yaml::Deserializer::from_str(JOB_TEMPLATES)
            .map(|document| serde_json::Value::deserialize(document).unwrap())
            .map(|template| {
                assert_eq!(template["kind"], "PodTemplate");
                template["metadata"]["name"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    fn is_wanted(key: &ForeignKey, relation: &Relation) -> bool {
        let on_delete = match relation.on_delete {
            OnDelete::Restrict => ReferentialAction::Restrict,
            OnDelete::Cascade => ReferentialAction::Cascade,
            OnDelete::SetNull => ReferentialAction::SetNull,
        };
        let orphans = match relation.orphans {
            Orphans::None => OrphanPolicy::Fail,
            Orphans::Delete => OrphanPolicy::Delete,
            Orphans::SetNull => OrphanPolicy::SetNull,
        };
        key.name == relation.name
            && key.table == relation.child
            && key.columns == relation.columns
            && key.references.table == relation.parent
            && key.references.columns == relation.parent_columns
            && key.on_delete == on_delete
            && key.orphans == orphans
    }

    #[test]
    fn no_field_of_the_migration_is_unknown_to_the_resource() {
        let written: serde_json::Value = serde_yaml::from_str(MIGRATION).unwrap();
        let read = serde_json::to_value(migration()).unwrap();
        fn missing(written: &serde_json::Value, read: &serde_json::Value, path: &str, found: &mut Vec<String>) {
            match (written, read) {
                (serde_json::Value::Object(written), serde_json::Value::Object(read)) => {
                    for (name, value) in written {
                        match read.get(name) {
                            Some(other) => missing(value, other, &format!("{path}.{name}"), found),
                            None => found.push(format!("{path}.{name}")),
                        }
                    }
                }
                (serde_json::Value::Array(written), serde_json::Value::Array(read)) if written.len() == read.len() => {
                    for (place, (value, other)) in written.iter().zip(read).enumerate() {
                        missing(value, other, &format!("{path}[{place}]"), found);
                    }
                }
                _ if written == read => {}
                _ => found.push(path.to_owned()),
            }
        }
        let mut found = Vec::new();
        missing(&written, &read, "", &mut found);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn the_migration_asks_for_every_relation_of_the_application_and_for_no_other() {
        let migration = migration();
        for (stage, wanted) in migration.spec.stages.iter().zip([relations::TO_USERS, relations::REMAINING]) {
            assert_eq!(stage.foreign_keys.len(), wanted.len(), "stage {}", stage.name);
            for (key, relation) in stage.foreign_keys.iter().zip(wanted) {
                assert!(is_wanted(key, relation), "{key:?} is not {relation:?}");
            }
        }
        let all = relations::all().count();
        let to_users = relations::TO_USERS.len();
        assert!(all >= 36 && to_users >= 18, "{all} relations, {to_users} of them to users");
        let expected = |stage: usize, place: usize| &migration.spec.stages[stage].expect[place];
        assert_eq!(expected(0, 0).at_least, i32::try_from(to_users).unwrap());
        assert_eq!(expected(1, 1).at_least, i32::try_from(all).unwrap());
        assert!(relations::TO_USERS.iter().all(|relation| relation.parent == "users"));
        assert!(relations::REMAINING.iter().all(|relation| relation.parent != "users"));
    }

    #[test]
    fn the_migration_asks_for_every_unique_constraint_and_fails_on_duplicates_only_where_there_are_none() {
        let migration = migration();
        assert_eq!(migration.spec.unique_constraints.len(), relations::UNIQUES.len());
        for (constraint, wanted) in migration.spec.unique_constraints.iter().zip(relations::UNIQUES) {
            assert_eq!((constraint.name.as_str(), constraint.table.as_str()), (wanted.name, wanted.table));
            assert_eq!(constraint.columns, wanted.columns);
            let has_duplicates = ["user_auth_providers", "bookmarks"].contains(&wanted.table);
            assert_eq!(constraint.duplicates.order_by.is_some(), has_duplicates, "{}", wanted.name);
        }
    }

    #[test]
    fn every_job_template_that_the_migrations_name_is_there() {
        let templates = templates();
        let migration = migration();
        let update = migration.spec.schema_update.unwrap();
        assert!(templates.contains(&update.pod_template_ref.name));
        assert!(templates.contains(&update.undo_pod_template_ref.unwrap().name));
        for job in &migration.spec.tests.jobs {
            assert!(templates.contains(&job.pod_template_ref.name), "{}", job.name);
        }
    }

    #[test]
    fn the_failing_migration_patches_what_is_there_and_names_a_template_that_is_there() {
        let kustomization: serde_json::Value = serde_yaml::from_str(FAILING).unwrap();
        let patch: serde_json::Value =
            serde_yaml::from_str(kustomization["patches"][0]["patch"].as_str().unwrap()).unwrap();
        let target: serde_json::Value = serde_yaml::from_str(MIGRATION).unwrap();
        for operation in patch.as_array().unwrap() {
            let path = operation["path"].as_str().unwrap();
            let before = target.pointer(path).unwrap_or_else(|| panic!("{path} is not in the migration"));
            assert_ne!(before, &operation["value"], "{path} stays the same");
        }
        assert!(templates().contains(patch[1]["value"].as_str().unwrap()));
    }
}

mod data {
    use super::sample::schema::execute;
    use super::sample::{generate, test_server, verify};

    #[tokio::test(flavor = "multi_thread")]
    async fn the_database_contains_what_the_truth_says_and_a_difference_is_named() {
        let server = test_server::server_with_schema("sample_truth").await;
        let truth = generate::generate(&server, 20_000, 7, 4).await.unwrap();
        assert_eq!(verify::differences(&server, &truth).await.unwrap(), Vec::<String>::new());

        for (relation, counts) in &truth.relations {
            let clean = ["fk_subscriptions_", "fk_invoices_", "fk_integration_logs_agency"]
                .iter()
                .any(|name| relation.starts_with(name));
            assert_eq!(counts.orphans == 0, clean, "{relation}: {counts:?}");
        }
        let in_the_end: u64 = truth.relations.values().map(|counts| counts.orphans_in_the_end).sum();
        assert!(in_the_end > truth.totals.orphans, "orphans whose loss makes further orphans are planted");
        assert!(truth.backfill.unmapped > 0 && truth.backfill.unmapped <= 200, "{:?}", truth.backfill);
        assert_eq!(truth.uniques.values().filter(|counts| counts.duplicates > 0).count(), 2);

        let mut connection = server.connect().await.unwrap();
        execute(&mut connection, "DELETE FROM users WHERE id = 1").await.unwrap();
        let differences = verify::differences(&server, &truth).await.unwrap();
        assert!(differences.iter().any(|difference| difference.contains("rows of users")), "{differences:?}");
        assert!(
            differences.iter().any(|difference| difference.contains("fk_user_preferences_user")),
            "{differences:?}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_same_seed_gives_the_same_data_and_another_seed_gives_other_data() {
        let server = test_server::server_with_schema("sample_seed").await;
        let mut sums = Vec::new();
        for seed in [1, 1, 2] {
            super::sample::schema::recreate(&server, None).await.unwrap();
            generate::generate(&server, 10_000, seed, 3).await.unwrap();
            let mut connection = server.connect().await.unwrap();
            let row = sqlx::raw_sql("CHECKSUM TABLE bookmarks").fetch_one(&mut connection).await.unwrap();
            sums.push(sqlx::Row::get::<i64, _>(&row, 1));
        }
        assert_eq!(sums[0], sums[1]);
        assert_ne!(sums[0], sums[2]);
    }
}

mod traffic {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::sample::connection::Server;
    use super::sample::relations::{self, OnDelete};
    use super::sample::schema::execute;
    use super::sample::traffic::measure::Report;
    use super::sample::traffic::{TrafficArguments, work};
    use super::sample::{generate, test_server};

    pub(crate) async fn worked_for(server: &Server, seconds: u64) -> Report {
        let arguments = TrafficArguments {
            rate: 300,
            connections: 3,
            duration: None,
            report: "-".into(),
            copy_tables: Vec::new(),
            seed: Some(seconds),
            statement_deadline: 120,
            list_writes: false,
        };
        let stop = CancellationToken::new();
        let end = async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stop.cancel();
        };
        let (report, ()) = tokio::join!(work(server, &arguments, stop.clone(), |_| Ok(())), end);
        report.unwrap()
    }

    /// Adds the keys over the orphans: they are enforced for everything that is written from now on.
    pub(crate) async fn add_keys(server: &Server) {
        let mut connection = server.connect().await.unwrap();
        execute(&mut connection, "SET SESSION foreign_key_checks = 0").await.unwrap();
        execute(&mut connection, "ALTER TABLE bookmark_folders MODIFY owner_id BIGINT UNSIGNED NOT NULL")
            .await
            .unwrap();
        execute(&mut connection, "ALTER TABLE integration_logs ADD COLUMN internal_agency_id INT UNSIGNED NULL")
            .await
            .unwrap();
        for relation in relations::all() {
            let on_delete = match relation.on_delete {
                OnDelete::Restrict => "RESTRICT",
                OnDelete::Cascade => "CASCADE",
                OnDelete::SetNull => "SET NULL",
            };
            let statement = format!(
                "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {on_delete}",
                relation.child,
                relation.name,
                relation.columns.join(", "),
                relation.parent,
                relation.parent_columns.join(", "),
            );
            execute(&mut connection, &statement).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_application_works_without_errors_or_losses_before_and_after_the_keys() {
        let server = test_server::server_with_schema("sample_traffic").await;
        let truth = generate::generate(&server, 20_000, 3, 3).await.unwrap();

        let before = worked_for(&server, 4).await;
        assert!(before.is_clean(), "{before:?}");
        assert!(before.counts.committed > 100, "{before:?}");
        assert_eq!((before.counts.refused_violations, before.counts.cascades_used), (0, 0));
        // Traffic neither makes nor takes away orphans and duplicates.
        assert_eq!(super::sample::verify::differences(&server, &truth).await.unwrap(), Vec::<String>::new());

        add_keys(&server).await;
        let after = worked_for(&server, 6).await;
        assert!(after.is_clean(), "{after:?}");
        assert_eq!(after.counts.foreign_keys, relations::all().count() as u64);
        assert!(after.counts.refused_violations > 0 && after.counts.cascades_used > 0, "{after:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_row_that_is_taken_away_behind_the_applications_back_is_reported() {
        let server = test_server::server_with_schema("sample_loss").await;
        generate::generate(&server, 10_000, 3, 3).await.unwrap();
        let taking = async {
            let mut connection = server.connect().await.unwrap();
            for _ in 0..300 {
                let taken =
                    execute(&mut connection, "DELETE FROM notifications WHERE id >= 1000000000 LIMIT 1").await.unwrap();
                if taken == 1 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("the traffic wrote no notification");
        };
        let (report, ()) = tokio::join!(worked_for(&server, 4), taking);
        let lost = report.ledger.clone().unwrap().lost_rows;
        assert!(!report.is_clean() && lost == 1, "{report:?}");
    }
}

mod pictures {
    use super::sample::schema::execute;
    use super::sample::{generate, snapshot, test_server};
    use super::traffic::worked_for;

    #[tokio::test(flavor = "multi_thread")]
    async fn pictures_ignore_the_applications_work_and_nothing_else() {
        let server = test_server::server_with_schema("sample_pictures").await;
        generate::generate(&server, 10_000, 5, 3).await.unwrap();
        let before = snapshot::take(&server).await.unwrap();
        let report = worked_for(&server, 3).await;
        let after = snapshot::take(&server).await.unwrap();
        let comparison = snapshot::compare(&before, &after, Some(&report));
        assert!(comparison.differences.is_empty() && comparison.rows_before > 9_000, "{comparison:?}");

        let mut connection = server.connect().await.unwrap();
        execute(&mut connection, "UPDATE query_results SET score = 1234567.75 WHERE id = 1").await.unwrap();
        for (change, undo) in [
            (
                "UPDATE bookmarks SET position = position + 0.0001 WHERE id = 1",
                "UPDATE bookmarks SET position = position - 0.0001 WHERE id = 1",
            ),
            // As text both are 1234570.
            (
                "UPDATE query_results SET score = 1234567.875 WHERE id = 1",
                "UPDATE query_results SET score = 1234567.75 WHERE id = 1",
            ),
            ("UPDATE queries SET user_id = NULL WHERE id = 2", ""),
            ("ALTER TABLE audit_log ADD INDEX extra (action)", "ALTER TABLE audit_log DROP INDEX extra"),
            ("DELETE FROM stations WHERE id = 3", ""),
        ] {
            let before = snapshot::take(&server).await.unwrap();
            execute(&mut connection, change).await.unwrap();
            let after = snapshot::take(&server).await.unwrap();
            assert!(!snapshot::compare(&before, &after, None).differences.is_empty(), "not seen: {change}");
            if !undo.is_empty() {
                execute(&mut connection, undo).await.unwrap();
                let restored = snapshot::take(&server).await.unwrap();
                assert_eq!(snapshot::compare(&before, &restored, None).differences, Vec::<String>::new(), "{change}");
            }
        }
    }
}
