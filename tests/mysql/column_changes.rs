//! Every class of type change on a real server: the algorithm that the planner states is the best one that the server accepts, forward
//! and back.

use holdfast::mysql::catalogue::read_catalogue;
use holdfast::plan::build;
use holdfast::plan::input::tables;
use serde_json::json;

use crate::common::{Fresh, in_fresh_schema};
use crate::planning::spec;

const CLAUSES: [&str; 3] = ["ALGORITHM=INSTANT", "ALGORITHM=INPLACE, LOCK=NONE", "ALGORITHM=COPY, LOCK=SHARED"];

fn members(count: usize) -> String {
    (0..count).map(|number| format!("'m{number}'")).collect::<Vec<_>>().join(",")
}

/// The clauses of a statement of the planner, and the statement without them.
fn clauses(statement: &str) -> (&str, &'static str) {
    let clause =
        CLAUSES.into_iter().find(|clause| statement.ends_with(clause)).unwrap_or_else(|| panic!("{statement}"));
    (statement.strip_suffix(clause).unwrap(), clause)
}

/// The first clauses with which the server carries a statement out; it is carried out then.
async fn best(fresh: &Fresh, statement: &str) -> &'static str {
    let mut connection = fresh.connect().await;
    for clause in CLAUSES {
        match connection.run(&format!("{statement}{clause}")).await {
            Ok(_) => return clause,
            Err(error) if matches!(error.code, Some(1845 | 1846)) => {}
            Err(error) => panic!("{statement}{clause}: {error}"),
        }
    }
    panic!("{statement}: refused in every way");
}

#[tokio::test]
async fn the_planned_algorithm_is_the_best_that_the_server_accepts_forward_and_back() {
    in_fresh_schema(|fresh| async move {
        if !fresh.served.decides_algorithms() {
            return;
        }
        let (few, more, full, over) = (members(3), members(255), members(255), members(256));
        let set = |count| format!("SET({})", members(count));
        let pairs: Vec<(String, String)> = [
            ("TINYINT", "SMALLINT"),
            ("TINYINT(1)", "TINYINT"),
            ("TINYINT", "TINYINT(1)"),
            ("INT", "BIGINT"),
            ("INT", "INT UNSIGNED"),
            ("INT UNSIGNED", "BIGINT UNSIGNED"),
            ("INT(5) ZEROFILL", "INT(7) ZEROFILL"),
            ("INT(5) ZEROFILL", "INT UNSIGNED"),
            ("DECIMAL(10,2)", "DECIMAL(12,2)"),
            ("DECIMAL(10,2)", "DECIMAL(12,4)"),
            ("DECIMAL(10,2)", "DECIMAL(11,2)"),
            ("DECIMAL(10,2)", "DECIMAL(10,2) UNSIGNED"),
            ("FLOAT", "DOUBLE"),
            ("CHAR(10)", "CHAR(20)"),
            ("CHAR(10)", "VARCHAR(10)"),
            ("CHAR(10)", "VARCHAR(20)"),
            ("VARCHAR(10)", "VARCHAR(20)"),
            ("VARCHAR(20)", "VARCHAR(10)"),
            ("VARCHAR(63)", "VARCHAR(64)"),
            ("VARCHAR(64)", "VARCHAR(200)"),
            ("VARCHAR(200)", "VARCHAR(64)"),
            ("VARCHAR(20) COLLATE latin1_bin", "VARCHAR(255)"),
            ("VARCHAR(20) COLLATE latin1_bin", "VARCHAR(256)"),
            ("VARCHAR(20) COLLATE latin1_bin", "VARCHAR(20) COLLATE latin1_swedish_ci"),
            ("VARCHAR(20) COLLATE utf8mb4_bin", "VARCHAR(20) COLLATE utf8mb4_0900_ai_ci"),
            ("VARCHAR(20) COLLATE utf8mb3_bin", "VARCHAR(20) COLLATE utf8mb4_bin"),
            ("VARCHAR(20) COLLATE utf8mb3_general_ci", "VARCHAR(20) COLLATE utf8mb4_general_ci"),
            ("VARCHAR(100) COLLATE utf8mb3_bin", "VARCHAR(200) COLLATE utf8mb4_bin"),
            ("CHAR(20) COLLATE utf8mb3_bin", "CHAR(20) COLLATE utf8mb4_bin"),
            ("TEXT COLLATE utf8mb3_bin", "TEXT COLLATE utf8mb4_bin"),
            ("VARCHAR(20)", "TEXT"),
            ("TEXT", "MEDIUMTEXT"),
            ("MEDIUMTEXT", "TEXT"),
            ("VARBINARY(20)", "VARBINARY(255)"),
            ("VARBINARY(20)", "VARBINARY(256)"),
            ("VARBINARY(256)", "VARBINARY(300)"),
            ("BLOB", "LONGBLOB"),
            ("DATETIME", "DATETIME(3)"),
            ("TIMESTAMP", "TIMESTAMP(6)"),
            ("TIME", "TIME(6)"),
            ("ENUM('a','b')", "ENUM('a','b','c')"),
            ("ENUM('a','b')", "ENUM('b','a')"),
            ("ENUM('a','b')", "ENUM('a','c','b')"),
            ("ENUM('a','b') COLLATE utf8mb3_bin", "ENUM('a','b') COLLATE utf8mb4_bin"),
            ("DECIMAL(10,2) ZEROFILL", "DECIMAL(10,2) UNSIGNED"),
            ("FLOAT ZEROFILL", "FLOAT UNSIGNED"),
            ("CHAR(20) COLLATE utf8mb4_bin", "CHAR(20) COLLATE utf8mb4_0900_ai_ci"),
            ("TEXT COLLATE utf8mb4_bin", "TEXT COLLATE utf8mb4_0900_ai_ci"),
            ("VARCHAR(80) COLLATE utf8mb3_bin", "VARCHAR(80) COLLATE utf8mb4_bin"),
            ("VARCHAR(20) COLLATE ascii_bin", "VARCHAR(20) COLLATE utf8mb4_bin"),
            ("VARCHAR(20) COLLATE ascii_bin", "VARCHAR(20) COLLATE latin1_bin"),
            ("VARBINARY(10)", "BINARY(10)"),
            ("ENUM('a','b') COLLATE utf8mb4_bin", "ENUM('a','b') COLLATE utf8mb4_0900_ai_ci"),
            ("ENUM('a','b') COLLATE utf8mb4_bin", "ENUM('a','b','c')"),
            ("ENUM('a','b')", "SET('a','b')"),
            ("SET('a','b')", "SET('a','b','c')"),
            ("SET('a','b')", "SET('b','a')"),
        ]
        .into_iter()
        .map(|(before, after)| (before.to_owned(), after.to_owned()))
        .chain([
            (format!("ENUM({few})"), format!("ENUM({more})")),
            (format!("ENUM({full})"), format!("ENUM({over})")),
            (format!("ENUM({over})"), format!("ENUM({})", members(300))),
            (set(8), set(9)),
            (set(9), set(16)),
            (set(24), set(25)),
            (set(32), set(33)),
            (set(40), set(64)),
        ])
        .collect();
        let mut wrong = Vec::new();
        // What else stands in the table can decide; one change of each kind shows it.
        let kinds = [
            "TINYINT(1)",
            "VARCHAR(10)",
            "VARCHAR(20) COLLATE utf8mb4_bin",
            "VARCHAR(20) COLLATE utf8mb3_bin",
            "VARBINARY(20)",
            "ENUM('a','b')",
            "SET('a','b')",
        ];
        let surroundings = [
            "",
            "KEY by_c (c)",
            "UNIQUE KEY by_c (id, c)",
            "d INT AS (CRC32(c)) STORED",
            "d INT AS (CRC32(c)) VIRTUAL",
            "d INT AS (CRC32(c)) VIRTUAL, KEY by_d (d)",
            "KEY by_expression ((CRC32(c)))",
            "CHECK (c IS NOT NULL)",
            "CHECK (id > 0)",
            "t TEXT, FULLTEXT KEY by_words (t)",
            "u INT, KEY by_u (u), CONSTRAINT fk_u FOREIGN KEY (u) REFERENCES t (id)",
        ];
        for around in surroundings {
            for (before, after) in &pairs {
                let long = [before, after].iter().any(|each| each.contains("TEXT") || each.contains("BLOB"));
                let every_kind = around.is_empty() || around.starts_with("KEY by_c");
                if (long && around.contains("by_c")) || !(every_kind || kinds.contains(&before.as_str())) {
                    continue;
                }
                let rest = if around.is_empty() { String::new() } else { format!(", {around}") };
                fresh
                    .run(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id INT PRIMARY KEY, c {before} NULL{rest})"))
                    .await;
                let spec = spec(
                    &fresh.schema,
                    json!({
                        "typeFixes": [{"name": "fix", "table": "t", "modifyColumn": {"name": "c", "type": after}}],
                        "acknowledge": [{"hazard": "OfflineInverse", "table": "t"}],
                    }),
                );
                let mut connection = fresh.connect().await;
                let catalogue = read_catalogue(&mut connection, &fresh.schema, &tables(&spec).unwrap()).await.unwrap();
                let plan = match build(&spec, &catalogue) {
                    Ok(plan) => plan,
                    Err(problems) if problems.iter().all(|problem| problem.message.contains("is refused, because")) => {
                        continue;
                    }
                    Err(problems) => panic!("{before} -> {after}: {problems:?}"),
                };
                let operation = &plan.operations[0];
                for (direction, statement) in [("forward", &operation.forward), ("back", &operation.inverse)] {
                    let (statement, planned) = clauses(statement.as_deref().unwrap());
                    let accepted = best(&fresh, statement).await;
                    if planned != accepted {
                        let short = |text: &str| text.chars().take(60).collect::<String>();
                        wrong.push(format!(
                            "{} -> {} ({direction}; {around}): planned {planned}, accepted {accepted}",
                            short(before),
                            short(after)
                        ));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    })
    .await;
}
