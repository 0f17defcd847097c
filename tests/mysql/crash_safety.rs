//! What the snapshot of a volume would not bring back as it was.

use holdfast::mysql::crash_safety::warnings;

use crate::common::in_fresh_schema;

#[tokio::test]
async fn tables_of_other_engines_are_named_and_those_of_innodb_are_not() {
    in_fresh_schema(|fresh| async move {
        fresh
            .run("CREATE TABLE users (id INT PRIMARY KEY) ENGINE = InnoDB; CREATE VIEW names AS SELECT id FROM users")
            .await;
        let mut connection = fresh.connect().await;
        // A throw-away server may have settings that are told, too.
        let mut damaged = async || {
            let found = warnings(&mut connection, &fresh.schema).await.unwrap();
            found.into_iter().filter(|text| text.contains("damaged")).collect::<Vec<_>>()
        };
        assert_eq!(damaged().await, Vec::<String>::new());
        fresh
            .run("CREATE TABLE hits (id INT PRIMARY KEY) ENGINE = MyISAM; CREATE TABLE cache (id INT) ENGINE = MEMORY")
            .await;
        let found = damaged().await;
        assert!(found.len() == 1 && found[0].ends_with("damaged: cache (MEMORY), hits (MyISAM)"), "{found:?}");
    })
    .await;
}
