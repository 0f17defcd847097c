//! What the application's statements are, as the server remembers them, also of prepared ones.

use holdfast::mysql::statements::read;

use crate::common::in_fresh_schema;

#[tokio::test]
async fn replace_truncate_and_switched_checks_are_seen_on_the_tables_they_concern() {
    in_fresh_schema(|fresh| async move {
        fresh.run("CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE `odd . name` (id INT PRIMARY KEY); CREATE TABLE other (id INT PRIMARY KEY); CREATE TABLE prepared (id INT PRIMARY KEY)").await;
        let tables = ["parent", "odd . name", "other", "prepared"].map(|name| fresh.table(name));
        let mut connection = fresh.connect().await;
        let seen = read(&mut connection, &tables, 0).await.unwrap();
        if fresh.served.mariadb {
            assert!(seen.not_seen[0].contains("keeps no statistics"), "{seen:?}");
            return;
        }
        assert!(seen.replaced.is_empty() && seen.truncated.is_empty() && !seen.sets_checks, "{seen:?}");
        let mut application = fresh.connect().await;
        application.run("REPLACE INTO parent SELECT * FROM other").await.unwrap();
        application.run(&format!("REPLACE {}.`odd . name` SET id = 1", fresh.schema.quoted())).await.unwrap();
        application.run("TRUNCATE TABLE other").await.unwrap();
        application.run("SET @@session.foreign_key_checks = 0").await.unwrap();
        sqlx::query("REPLACE LOW_PRIORITY INTO prepared VALUES (?)").bind(1).execute(application.raw()).await.unwrap();
        let seen = read(&mut connection, &tables, 0).await.unwrap();
        if fresh.served.counts_prepared_statements() {
            assert_eq!(seen.replaced.iter().collect::<Vec<_>>(), [&tables[1], &tables[0], &tables[3]], "{seen:?}");
        } else {
            assert_eq!(seen.replaced.iter().collect::<Vec<_>>(), [&tables[1], &tables[0]], "{seen:?}");
            assert!(seen.not_seen.iter().any(|gap| gap.contains("prepared statements")), "{seen:?}");
        }
        assert_eq!(seen.truncated.iter().collect::<Vec<_>>(), [&tables[2]], "{seen:?}");
        assert!(seen.sets_checks, "{seen:?}");
    })
    .await;
}

#[tokio::test]
async fn what_the_statistics_miss_is_said() {
    in_fresh_schema(|fresh| async move {
        if fresh.served.mariadb {
            return;
        }
        fresh.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
        let tables = [fresh.table("t")];
        let mut connection = fresh.connect().await;
        let switch = |value: &str| {
            format!(
                "UPDATE performance_schema.setup_instruments SET ENABLED = '{value}' WHERE NAME = 'statement/sql/load'"
            )
        };
        connection.run(&switch("NO")).await.unwrap();
        let blind = read(&mut connection, &tables, 0).await;
        connection.run(&switch("YES")).await.unwrap();
        let named = |gaps: &[String]| gaps.iter().any(|gap| gap.contains("statement/sql/load"));
        assert!(named(&blind.unwrap().not_seen));
        assert!(!named(&read(&mut connection, &tables, 0).await.unwrap().not_seen));
    })
    .await;
}
