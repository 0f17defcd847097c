//! The statements of the user's own that are refused, each by its name, with the reason and the way out. What is not named here and
//! not among those that are run is refused too.

/// Why a statement that begins with these two words is not run.
pub(crate) fn refusal(first: &str, second: &str) -> String {
    let lost = "rows or values would be gone for good";
    let reason = match (first, second) {
        ("USE", _) => "a migration works in its own schema: leave it out",
        ("SET", _) => "settings of session and server are Holdfast's, which states them itself: leave it out",
        ("GRANT" | "REVOKE", _) | ("CREATE" | "ALTER" | "DROP" | "RENAME", "USER" | "ROLE") => {
            "accounts belong to the whole server: have its administrator do it before"
        }
        ("DROP", "TABLE" | "TEMPORARY" | "DATABASE" | "SCHEMA") => {
            return format!(
                "{first} {second} is refused, since {lost}: do it yourself once the migration is complete and nobody misses it"
            );
        }
        ("TRUNCATE", _) => "its rows would be gone for good: remove them yourself once nobody misses them",
        ("RENAME", _) => "the application names the table: rename it in a release of your own",
        ("CREATE", "TABLE" | "TEMPORARY") => {
            "its way back would drop a table with what the application wrote into it: create it before the migration"
        }
        ("CREATE" | "DROP" | "ALTER", "TRIGGER") => {
            "it would run inside of the application's statements, and SHOW CREATE TABLE does not show whether it is gone again: keep a column \
             filled with backfill, whose last pass follows the application's update"
        }
        (
            "CREATE" | "DROP" | "ALTER",
            "PROCEDURE" | "FUNCTION" | "EVENT" | "VIEW" | "DATABASE" | "SCHEMA" | "SERVER" | "DEFINER" | "OR",
        ) => "whether it is back as it was cannot be seen in a table: do it before or after the migration",
        ("LOCK" | "UNLOCK", _) => "it would hold up readers and writers without a limit: leave it out",
        ("BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "XA", _) => {
            "each statement is a step of its own, recorded before and after: leave transactions out"
        }
        ("FLUSH" | "RESET" | "PURGE" | "SHUTDOWN" | "RESTART" | "CHANGE" | "INSTALL" | "UNINSTALL" | "STOP", _) => {
            "it concerns the whole server: have its administrator do it"
        }
        ("KILL", _) => "sessions of others are ended by people: do it yourself when a message names one",
        ("DELETE" | "REPLACE", _) => {
            "it would delete rows without keeping them: have rows removed by a key's orphans or a unique constraint's duplicates, which keep them in \
             quarantine"
        }
        ("INSERT" | "LOAD", _) => {
            "down could only delete rows again, together with what the application made of them: insert them before the migration"
        }
        ("CALL" | "PREPARE" | "EXECUTE" | "DEALLOCATE" | "DO" | "HANDLER", _) => {
            "what it does cannot be seen from its words: write the statements themselves"
        }
        ("OPTIMIZE" | "ANALYZE" | "REPAIR" | "CHECK" | "CHECKSUM", _) => {
            "it changes nothing that could be taken back: run it before or after the migration"
        }
        ("SELECT" | "WITH" | "SHOW" | "DESCRIBE" | "EXPLAIN" | "TABLE" | "VALUES", _) => {
            "it changes nothing: put what must hold into verify"
        }
        _ => {
            "it is none of ALTER TABLE, CREATE INDEX, DROP INDEX and UPDATE, the statements that can be run, watched and taken back"
        }
    };
    let two = matches!(first, "CREATE" | "DROP" | "ALTER" | "RENAME" | "LOCK" | "START");
    let name = if two { format!("{first} {second}") } else { first.to_owned() };
    format!("{} is refused: {reason}", name.trim())
}

/// Why a clause of ALTER TABLE is not run; `None` if it is.
pub(crate) fn clause_refusal(first: &str, second: &str) -> Option<String> {
    let reason = match (first, second) {
        ("", _) => "what stands between commas must begin with a word".to_owned(),
        ("RENAME", _) => {
            "RENAME is refused, since the application's statements name what it renames: do it in a release of your own"
                .to_owned()
        }
        ("CHANGE", _) => "CHANGE is refused, since it renames too: write MODIFY COLUMN".to_owned(),
        ("ADD" | "DROP", "FOREIGN") => {
            format!("{first} FOREIGN KEY is refused here: name the key in spec.stages, where it is proven")
        }
        ("DROP", "CONSTRAINT") => {
            "DROP CONSTRAINT is refused, since it could be a foreign key: write DROP CHECK or DROP INDEX".to_owned()
        }
        (
            "ADD" | "DROP" | "TRUNCATE" | "EXCHANGE" | "REORGANIZE" | "COALESCE" | "REBUILD" | "OPTIMIZE" | "ANALYZE"
            | "CHECK" | "REPAIR" | "DISCARD" | "IMPORT",
            "PARTITION" | "TABLESPACE",
        )
        | ("PARTITION" | "REMOVE", _) => {
            format!(
                "{first} {second} is refused, since InnoDB does not combine partitions with foreign keys, and rows could be gone for good"
            )
        }
        ("CONVERT" | "DEFAULT" | "CHARACTER" | "CHARSET" | "COLLATE", _) => {
            format!(
                "{first} is refused, since keys compare character sets and collations: change each column with modifyColumn"
            )
        }
        ("ENGINE", _) => "ENGINE is refused: convert the table before the migration".to_owned(),
        (
            "ADD" | "MODIFY" | "ALTER" | "DROP" | "COMMENT" | "FORCE" | "ROW_FORMAT" | "KEY_BLOCK_SIZE"
            | "STATS_PERSISTENT" | "STATS_AUTO_RECALC" | "STATS_SAMPLE_PAGES" | "AUTOEXTEND_SIZE",
            _,
        ) => {
            return None;
        }
        (other, _) => format!(
            "{other} is refused: of ALTER TABLE only ADD, MODIFY, ALTER, DROP, COMMENT and options of the table are known"
        ),
    };
    Some(reason)
}
