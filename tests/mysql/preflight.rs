//! Preflight on a real server: what it lets pass, what it refuses, and what it names.

use std::time::Duration;

use holdfast::mysql::error::Cause;
use holdfast::mysql::preflight::{PreflightLimits, parse_minimum_version, preflight};
use holdfast::mysql::{JournalLocation, KillBlockers, SessionLimits, Target};
use holdfast::plan::TableName;
use sqlx::Row;

use crate::common::{Fresh, identifier, in_fresh_schema};

fn limits(fresh: &Fresh) -> PreflightLimits {
    PreflightLimits {
        minimum_server_version: parse_minimum_version("8.0").unwrap(),
        max_active_sessions: 10_000,
        max_threads_running: 10_000,
        max_transaction_age: Duration::from_secs(3600),
        schema: fresh.schema.clone(),
        journal: JournalLocation::Schema(identifier("holdfast")),
        kill_blockers: KillBlockers::Never,
        puts_back: false,
    }
}

#[tokio::test]
async fn a_fit_server_passes_and_limits_are_named_with_what_was_found() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
        let mut connection = fresh.connect().await;
        let tables = [fresh.table("t")];
        preflight(&mut connection, &limits(&fresh), &tables).await.unwrap();
        let _other = fresh.connect().await;
        let error = preflight(&mut connection, &PreflightLimits { max_active_sessions: 0, ..limits(&fresh) }, &tables)
            .await
            .unwrap_err();
        assert_eq!(error.cause, Cause::NotReady);
        assert!(error.message.contains("spec.preflight.maxActiveSessions is 0"), "{error}");
        let error = preflight(&mut connection, &PreflightLimits { max_threads_running: 0, ..limits(&fresh) }, &tables)
            .await
            .unwrap_err();
        assert!(error.message.contains("spec.preflight.maxThreadsRunning is 0"), "{error}");
        let minimum = parse_minimum_version("99.1").unwrap();
        let error =
            preflight(&mut connection, &PreflightLimits { minimum_server_version: minimum, ..limits(&fresh) }, &tables)
                .await
                .unwrap_err();
        assert_eq!(error.cause, Cause::ServerUnsupported);
        assert!(error.message.contains("spec.preflight.minimumServerVersion is 99.1.0"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_transaction_that_holds_a_table_of_the_plan_is_named() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE other (id INT PRIMARY KEY)").await;
        let mut holder = fresh.connect().await;
        holder.run("START TRANSACTION; SELECT * FROM t").await.unwrap();
        let mut connection = fresh.connect().await;
        let strict = PreflightLimits { max_transaction_age: Duration::ZERO, ..limits(&fresh) };
        preflight(&mut connection, &strict, &[fresh.table("other")]).await.unwrap();
        let error = preflight(&mut connection, &strict, &[fresh.table("t")]).await.unwrap_err();
        assert_eq!(error.cause, Cause::NotReady);
        assert!(error.message.contains(&format!("connection {}", holder.id)), "{error}");
        preflight(&mut connection, &limits(&fresh), &[fresh.table("t")]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn missing_privileges_are_named_as_statements() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
        let account = format!("'{}'@'%'", fresh.schema);
        let mut root = fresh.connect().await;
        root.run(&format!(
            "CREATE USER {account} IDENTIFIED BY 'x'; GRANT SELECT, INSERT, UPDATE ON {}.* TO {account}; GRANT SELECT ON performance_schema.* TO {account}",
            fresh.schema.quoted()
        ))
        .await
        .unwrap();
        let mut target = fresh.target.clone();
        target.username = fresh.schema.to_string();
        target.password = "x".to_owned();
        let mut poor = target.connect(SessionLimits::default()).await.unwrap();
        let ends_others = if fresh.served.mariadb { KillBlockers::Never } else { KillBlockers::IdleTransactions };
        let wanted = PreflightLimits { kill_blockers: ends_others, ..limits(&fresh) };
        let outcome = preflight(&mut poor, &wanted, &[fresh.table("t")]).await;
        root.run(&format!("DROP USER {account}")).await.unwrap();
        let error = outcome.unwrap_err();
        assert_eq!(error.cause, Cause::PrivilegeMissing);
        for part in [
            format!("GRANT {} ON *.*", if fresh.served.mariadb { "PROCESS" } else { "PROCESS, XA_RECOVER_ADMIN" }),
            format!("GRANT DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES ON {}.`t`", fresh.schema.quoted()),
            "ON `holdfast`.*".to_owned(),
        ] {
            assert!(error.message.contains(&part), "{part} is not in {error}");
        }
        assert_eq!(error.message.contains("GRANT CONNECTION_ADMIN ON *.*"), !fresh.served.mariadb, "{error}");
    })
    .await;
}

#[tokio::test]
async fn privileges_count_from_roles_that_are_active_and_from_no_others() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
        let (user, role) = (format!("'{}'@'%'", fresh.schema), format!("'{}_role'", fresh.schema));
        let mut root = fresh.connect().await;
        let all = if fresh.served.mariadb { "PROCESS" } else { "PROCESS, XA_RECOVER_ADMIN" };
        root.run(&format!(
            "CREATE ROLE {role}; GRANT {all} ON *.* TO {role}; GRANT SELECT ON performance_schema.* TO {role}; \
             GRANT ALL PRIVILEGES ON {}.* TO {role}; GRANT ALL PRIVILEGES ON holdfast.* TO {role}; \
             CREATE USER {user} IDENTIFIED BY 'x'; GRANT {role} TO {user}",
            fresh.schema.quoted()
        ))
        .await
        .unwrap();
        let target = Target { username: fresh.schema.to_string(), password: "x".to_owned(), ..fresh.target.clone() };
        let mut without = target.connect(SessionLimits::default()).await.unwrap();
        let refused = preflight(&mut without, &limits(&fresh), &[]).await;
        let activate = if fresh.served.mariadb {
            "SET DEFAULT ROLE {role} FOR {user}"
        } else {
            "SET DEFAULT ROLE {role} TO {user}"
        };
        root.run(&activate.replace("{role}", &role).replace("{user}", &user)).await.unwrap();
        let mut with = target.connect(SessionLimits::default()).await.unwrap();
        let passed = preflight(&mut with, &limits(&fresh), &[fresh.table("t")]).await;
        root.run(&format!("DROP USER {user}; DROP ROLE {role}")).await.unwrap();
        let error = refused.unwrap_err();
        assert!(error.cause == Cause::PrivilegeMissing && error.message.contains("PROCESS"), "{error}");
        passed.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_the_server_denies_counts_more_than_what_its_list_of_grants_seems_to_give() {
    in_fresh_schema(|fresh| async move {
        // Where there are partial revokes, the name of a schema in a grant is no pattern.
        if fresh.served.mariadb || !fresh.served.has_partial_revokes() {
            return;
        }
        fresh.run("CREATE TABLE t (`it's` INT PRIMARY KEY, twice INT AS (`it's` * 2) STORED)").await;
        let user = format!("'{}'@'%'", fresh.schema);
        let pattern = format!("{}%", fresh.schema);
        let mut root = fresh.connect().await;
        root.run(&format!(
            "CREATE USER {user} IDENTIFIED BY 'x'; GRANT PROCESS, XA_RECOVER_ADMIN ON *.* TO {user}; GRANT SELECT ON performance_schema.* TO {user}; \
             GRANT ALL PRIVILEGES ON holdfast.* TO {user}; GRANT ALL PRIVILEGES ON `{pattern}`.* TO {user}"
        ))
        .await
        .unwrap();
        let target = Target { username: fresh.schema.to_string(), password: "x".to_owned(), ..fresh.target.clone() };
        let mut account = target.connect(SessionLimits::default()).await.unwrap();
        let before = preflight(&mut account, &limits(&fresh), &[fresh.table("t")]).await;
        root.run(&format!("GRANT SELECT ON {}.* TO {user}; SET GLOBAL partial_revokes = ON", fresh.schema.quoted())).await.unwrap();
        let mut account = target.connect(SessionLimits::default()).await.unwrap();
        let after = preflight(&mut account, &limits(&fresh), &[fresh.table("t"), fresh.table("absent")]).await;
        root.run(&format!("SET GLOBAL partial_revokes = OFF; DROP USER {user}")).await.unwrap();
        before.unwrap();
        let error = after.unwrap_err();
        assert_eq!(error.cause, Cause::PrivilegeMissing, "{error}");
        let wanted = format!("GRANT INSERT, UPDATE, DELETE ON {}", fresh.table("t").quoted());
        assert!(error.message.contains(&wanted), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_prepared_transaction_is_named() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
        let mut other = fresh.connect().await;
        let name = format!("'{}'", fresh.schema);
        other
            .run(&format!("XA START {name}; INSERT INTO t VALUES (1); XA END {name}; XA PREPARE {name}"))
            .await
            .unwrap();
        let mut connection = fresh.connect().await;
        let outcome = preflight(&mut connection, &limits(&fresh), &[]).await;
        other.run(&format!("XA ROLLBACK {name}")).await.unwrap();
        let warnings = outcome.unwrap().warnings;
        // MySQL shows it as hexadecimal digits, which XA ROLLBACK takes, too.
        let digits: String = fresh.schema.as_str().bytes().map(|byte| format!("{byte:02X}")).collect();
        let names = |warning: &String| warning.contains(fresh.schema.as_str()) || warning.contains(&digits);
        assert!(warnings.iter().any(|warning| names(warning) && warning.contains("XA ROLLBACK")), "{warnings:?}");
    })
    .await;
}

#[tokio::test]
async fn sessions_without_checks_are_reported() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
        let mut careless = fresh.connect().await;
        careless.run("SET SESSION foreign_key_checks = 0").await.unwrap();
        let mut connection = fresh.connect().await;
        let report = preflight(&mut connection, &limits(&fresh), &[fresh.table("t")]).await.unwrap();
        if fresh.served.mariadb {
            let told = |words: &str| report.warnings.iter().any(|warning| warning.contains(words));
            assert!(told("whether one has foreign_key_checks off"), "{:?}", report.warnings);
            return;
        }
        let named = format!("Connection {} ", careless.id);
        assert!(report.warnings.iter().any(|warning| warning.starts_with(&named)), "{:?}", report.warnings);
    })
    .await;
}

/// Run once more by `make test` on a server that was started without the plugin.
#[tokio::test]
async fn a_mariadb_without_the_list_of_locks_is_refused_and_told_how_to_get_it() {
    in_fresh_schema(|fresh| async move {
        if !fresh.served.mariadb {
            return;
        }
        fresh.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
        let mut connection = fresh.connect().await;
        let plugin = "SELECT CAST(COUNT(*) AS SIGNED) FROM information_schema.plugins WHERE plugin_name = 'METADATA_LOCK_INFO' AND plugin_status = 'ACTIVE'";
        let active: i64 = sqlx::raw_sql(plugin).fetch_one(connection.raw()).await.unwrap().try_get(0).unwrap();
        let outcome = preflight(&mut connection, &limits(&fresh), &[fresh.table("t")]).await;
        if active == 1 {
            outcome.unwrap();
            return;
        }
        let error = outcome.unwrap_err();
        assert_eq!(error.cause, Cause::ServerUnsupported, "{error}");
        assert!(error.message.contains("INSTALL SONAME 'metadata_lock_info'"), "{error}");
    })
    .await;
}

/// The statements of a page's blocks of SQL that hold certain words.
fn statements_of_the_guide(words: &str) -> Vec<String> {
    let guide = include_str!("../../docs/guide.md");
    let blocks = guide.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).filter(|line| line.contains(words));
    lines.map(|line| line.trim_end_matches(';').to_owned()).collect()
}

#[tokio::test]
async fn the_grants_of_the_guide_suffice_and_none_of_them_is_too_much() {
    in_fresh_schema(|fresh| async move {
        if fresh.served.mariadb {
            return;
        }
        let far = format!("{}_far", fresh.schema);
        fresh.run(&format!("CREATE TABLE t (id INT PRIMARY KEY); CREATE SCHEMA {far}; CREATE TABLE {far}.counties (id INT PRIMARY KEY)")).await;
        let user = format!("'{}'@'%'", fresh.schema);
        let grants: Vec<String> = statements_of_the_guide("GRANT ")
            .iter()
            .map(|grant| {
                grant
                    .replace("'migrator'@'%'", &user)
                    .replace("shop.", &format!("{}.", fresh.schema))
                    .replace("geography.", &format!("{far}."))
            })
            .collect();
        assert_eq!(grants.len(), 10, "{grants:?}");
        let mut root = fresh.connect().await;
        root.run(&format!("CREATE USER {user} IDENTIFIED BY 'x'")).await.unwrap();
        for grant in &grants {
            // SHOW_ROUTINE came with 8.0.20.
            let answer = root.run(grant).await;
            assert!(answer.is_ok() || grant.contains("SHOW_ROUTINE"), "{grant}: {answer:?}");
        }
        let target = Target { username: fresh.schema.to_string(), password: "x".to_owned(), ..fresh.target.clone() };
        let wanted =
            PreflightLimits { kill_blockers: KillBlockers::IdleTransactions, puts_back: true, ..limits(&fresh) };
        let tables = [fresh.table("t"), TableName::new(identifier(&far), identifier("counties"))];
        let mut account = target.connect(SessionLimits::default()).await.unwrap();
        preflight(&mut account, &wanted, &tables).await.unwrap();

        // What the backup needs, preflight does not look at.
        for grant in grants.iter().filter(|grant| !grant.starts_with("GRANT SHOW")) {
            let (names, place) = grant.trim_start_matches("GRANT ").split_once(" ON ").unwrap();
            let place = place.split(" TO ").next().unwrap();
            for name in names.split(", ") {
                root.run(&format!("REVOKE {name} ON {place} FROM {user}")).await.unwrap();
                let error = preflight(&mut account, &wanted, &tables).await.unwrap_err();
                assert_eq!(error.cause, Cause::PrivilegeMissing, "without {name} on {place}: {error}");
                assert!(error.message.contains(name), "without {name} on {place}: {error}");
                root.run(&format!("GRANT {name} ON {place} TO {user}")).await.unwrap();
            }
        }
        root.run(&format!("DROP USER {user}; DROP SCHEMA {far}")).await.unwrap();
    })
    .await;
}
