//! The before-image of a table: SHOW CREATE TABLE in a form that is the same whatever the session's settings are, without the
//! AUTO_INCREMENT value, which the application moves all the time.

use sqlx::Row;

use super::connection::{Connection, sql};
use super::error::{Cause, Error};
use crate::plan::identifier::TableName;

/// Makes SHOW CREATE TABLE independent of the server's settings for the rest of the session.
///
/// # Errors
/// What the server answers.
pub(crate) async fn settle_format(connection: &mut Connection) -> Result<(), Error> {
    connection.run(connection.dialect.settled_definitions()).await?;
    Ok(())
}

/// Reads one table's before-image. The session's format must be settled.
///
/// # Errors
/// [`Cause::Drifted`] when the table is gone; else what the server answers.
pub(crate) async fn read(connection: &mut Connection, table: &TableName) -> Result<String, Error> {
    let row = sqlx::raw_sql(sql(format!("SHOW CREATE TABLE {}", table.quoted())))
        .fetch_one(connection.raw())
        .await
        .map_err(|error| {
            let mut error = Error::from(error).while_doing(format!("reading the definition of {table}"));
            if error.code == Some(1146) {
                error.cause = Cause::Drifted;
            }
            error
        })?;
    let text: String = row.try_get(1)?;
    Ok(without_auto_increment(&text))
}

/// Removes ` AUTO_INCREMENT=n` from the table's options; the same words in a comment or default stay.
pub(crate) fn without_auto_increment(statement: &str) -> String {
    const OPTION: &str = " AUTO_INCREMENT=";
    // Where the options begin. MariaDB 10.11 does not double the backticks in the names of a foreign key, so that what is a name and
    // what is not cannot be told up to there.
    const OPTIONS: &str = "\n) ENGINE=";
    let mut quote: Option<char> = None;
    let mut characters = statement.char_indices();
    while let Some((position, character)) = characters.next() {
        if character == '\n' && statement[position..].starts_with(OPTIONS) {
            quote = None;
        }
        match quote {
            Some('\'' | '"') if character == '\\' => {
                characters.next();
            }
            // A doubled quote closes and opens again: the same as staying inside.
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"' | '`') => quote = Some(character),
            None => {
                if let Some(rest) = statement.get(position..).and_then(|text| text.strip_prefix(OPTION)) {
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    if digits > 0 {
                        return format!("{}{}", &statement[..position], &rest[digits..]);
                    }
                }
            }
        }
    }
    statement.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_goes_and_everything_else_stays() {
        assert_eq!(
            without_auto_increment(
                "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT\n) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4"
            ),
            "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
        );
    }

    #[test]
    fn a_name_that_mariadb_writes_with_a_single_backtick_does_not_hide_the_option() {
        assert_eq!(
            without_auto_increment(
                "CREATE TABLE `t` (\n  `a` int(11),\n  CONSTRAINT `f`1` FOREIGN KEY (`a`) REFERENCES `p` (`id`)\n) ENGINE=InnoDB AUTO_INCREMENT=42"
            ),
            "CREATE TABLE `t` (\n  `a` int(11),\n  CONSTRAINT `f`1` FOREIGN KEY (`a`) REFERENCES `p` (`id`)\n) ENGINE=InnoDB"
        );
    }

    #[test]
    fn the_same_words_in_strings_stay() {
        for text in [
            "CREATE TABLE `t` (\n  `a` int COMMENT 'it''s \\' AUTO_INCREMENT=7'\n) ENGINE=InnoDB COMMENT=' AUTO_INCREMENT=8'",
            "CREATE TABLE `a AUTO_INCREMENT=3` (\n  `a` int\n) ENGINE=InnoDB",
        ] {
            assert_eq!(without_auto_increment(text), text);
        }
    }
}
