//! A look at a user's statement before it is run: that it is one statement, that it only reads or changes rows, and that nothing in
//! it is hidden from this look. The server's own cage (no DDL and no COMMIT inside an XA transaction) holds even where this is wrong.

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
    let mut rest = statement;
    let mut ended = false;
    while let Some(first) = rest.chars().next() {
        let comment = rest.starts_with('#')
            || rest.starts_with("--")
                && rest[2..].chars().next().is_none_or(|after| after.is_whitespace() || after.is_control());
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
        } else if comment {
            rest = rest.find('\n').map_or("", |end| &rest[end + 1..]);
        } else if rest.starts_with("/*!") || rest.starts_with("/*M!") {
            return Err(
                "the statement holds a comment of the form /*! ... */, which the server executes: write it plainly"
                    .to_owned(),
            );
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").ok_or("a comment /* has no end")?;
            rest = &rest[end + 2..];
        } else if first == ';' {
            ended = true;
            rest = &rest[1..];
        } else if ended {
            return Err("there is more than one statement: give each a step of its own".to_owned());
        } else if matches!(first, '\'' | '"' | '`') {
            let (text, length) = quoted(rest, first)?;
            if first == '`' {
                words.push(text.to_uppercase());
            }
            rest = &rest[length..];
        } else if is_word(first) {
            let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
            words.push(rest[..end].to_uppercase());
            rest = &rest[end..];
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(words)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$' | '@')
}

/// The text between quotes at the beginning of `rest`, and its length with them.
fn quoted(rest: &str, quote: char) -> Result<(String, usize), String> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote != '`' {
            characters.next();
        } else if character == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
                text.push(quote);
            } else {
                return Ok((text, at + 1));
            }
        } else {
            text.push(character);
        }
    }
    Err(format!("a text in {quote} has no end"))
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
