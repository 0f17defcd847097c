//! A look at a user's statement before it is run: that it is one statement, that it only reads or changes rows, and that nothing in
//! it is hidden from this look. The server's own cage (no DDL and no COMMIT inside an XA transaction) holds even where this is wrong.

use crate::plan::sql_text::{Kind, tokens};

/// How a test's statement may begin.
const ALLOWED: [&str; 6] = ["INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH"];

/// Checks a statement of a scenario.
///
/// # Errors
/// What is wrong with it, for people.
pub(crate) fn check(statement: &str) -> Result<(), String> {
    let words = words(statement)?;
    let Some(first) = words.first() else { return Err("the statement is empty".to_owned()) };
    if !ALLOWED.contains(&first.as_str()) {
        return Err(format!("the statement begins with {first}; a scenario may use {} only", ALLOWED.join(", ")));
    }
    if words.windows(2).any(|pair| pair[0] == "INTO" && matches!(pair[1].as_str(), "OUTFILE" | "DUMPFILE")) {
        return Err("the statement writes a file, which no rollback takes back".to_owned());
    }
    Ok(())
}

/// The words of a statement outside strings and comments, in upper case; quoted names come without their quotes.
///
/// # Errors
/// When there is more than one statement, a comment that the server would execute, or a string without an end.
pub(crate) fn words(statement: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut ended = false;
    for token in tokens(statement).map_err(|error| error.to_string())? {
        if token.kind == Kind::Executable {
            return Err(
                "the statement holds a comment of the form /*! ... */, which the server executes: write it plainly"
                    .to_owned(),
            );
        }
        if token.is_symbol(';') {
            ended = true;
        } else if ended {
            return Err("there is more than one statement: give each a step of its own".to_owned());
        } else if let Some(name) = token.name() {
            words.push(name.to_uppercase());
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn statements_on_rows_pass() {
        for statement in [
            "DELETE FROM users WHERE id = 1",
            " -- first\n insert into a values ('x;y', \"it's\", 'a\\';b', `c;d`);  ",
            "/* why */ SELECT 1; # end; of it",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "SELECT 5--2",
        ] {
            assert_eq!(check(statement), Ok(()), "{statement}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for statement in [
            "",
            "  -- nothing",
            "COMMIT",
            "XA END 'x'",
            "DROP TABLE users",
            "CALL something()",
            "SET SESSION foreign_key_checks = 0",
            "SELECT 1; COMMIT",
            "SELECT 1 /*!50000 , 2 */",
            "SELECT 'a",
            "SELECT 1 /* a",
            "SELECT * FROM users INTO OUTFILE '/tmp/x'",
        ] {
            assert!(check(statement).is_err(), "{statement}");
        }
    }

    #[test]
    fn a_semicolon_inside_a_string_after_an_escape_does_not_end_the_statement() {
        assert_eq!(
            words(r"SELECT 'a\\'; DELETE FROM b").unwrap_err(),
            "there is more than one statement: give each a step of its own"
        );
        assert_eq!(words(r"SELECT 'a\'; DELETE FROM b'").unwrap(), ["SELECT"]);
    }
}
