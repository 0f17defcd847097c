//! Statements for the server that a backup is restored into by a Job, which has no connection to it but the client `mysql`.

use crate::plan::Identifier;

/// The account that an empty server has.
pub const ADMINISTRATOR: &str = "root";

/// Which version the server has.
pub const VERSION: &str = "SELECT VERSION()";

/// How many tables and views the schema in use holds.
pub const TABLES: &str = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()";

/// What a dump sets before its tables, and nothing that would have to be put back: the session ends with them.
pub const BEFORE_TABLES: &str = "SET NAMES utf8mb4; SET SESSION time_zone = '+00:00', unique_checks = 0, foreign_key_checks = 0, \
    sql_mode = 'NO_AUTO_VALUE_ON_ZERO';\n";

/// Gives the administrator a password. It is made of hexadecimal digits: nothing in it needs an escape.
#[must_use]
pub fn password(random: &[u8]) -> (String, String) {
    let password = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let statement = format!("ALTER USER '{ADMINISTRATOR}'@'localhost' IDENTIFIED BY '{password}';\n");
    (password, statement)
}

/// Makes the schema that is restored.
#[must_use]
pub fn create_schema(schema: &Identifier) -> String {
    format!("CREATE DATABASE {}", schema.quoted())
}

/// Statements that make the accounts which views, routines and triggers name as their definer, locked: mysqldump does not read a view of
/// an account that is not there, and no trigger of one runs. `*` is the schema in use.
const DEFINERS: &str = "\
    SELECT DISTINCT CONCAT('CREATE USER IF NOT EXISTS ', account, ' ACCOUNT LOCK; GRANT ALL ON * TO ', account, ';') FROM \
    (SELECT CONCAT(QUOTE(LEFT(DEFINER, CHAR_LENGTH(DEFINER) - CHAR_LENGTH(SUBSTRING_INDEX(DEFINER, '@', -1)) - 1)), '@', \
    QUOTE(SUBSTRING_INDEX(DEFINER, '@', -1))) AS account FROM \
    (SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() \
    UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() \
    UNION SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()) AS definers) AS accounts \
    WHERE account <> '\\'root\\'@\\'localhost\\''";

/// Gives the statements that make the definers of a schema's views, routines and triggers; they run [`in_schema`].
#[must_use]
pub fn definers(schema: &Identifier) -> String {
    in_schema(schema, DEFINERS)
}

/// Statements that the server itself has put together, quoted, for a schema.
#[must_use]
pub fn in_schema(schema: &Identifier, statements: &str) -> String {
    format!("SET NAMES utf8mb4; USE {}; {statements}", schema.quoted())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_needs_no_escape_and_a_schema_has_one() {
        let (password, statement) = password(&[0, 39, 92, 255]);
        assert_eq!(password, "00275cff");
        assert!(statement.contains("IDENTIFIED BY '00275cff';"));
        assert_eq!(create_schema(&Identifier::new("a`b").unwrap()), "CREATE DATABASE `a``b`");
    }
}
