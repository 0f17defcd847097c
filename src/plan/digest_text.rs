//! Reads the texts that the server keeps of the statements it has executed, literals taken out: what a statement does, and to which of
//! some tables.

use super::identifier::{Identifier, TableName};
pub use crate::api::status::StatementKind;

/// Words that may stand between a statement's first word and its table.
const BEFORE_A_TABLE: [&str; 7] = ["LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "INTO", "FROM"];
/// What a table follows, in a statement that names several.
const JOINED: [&str; 3] = [" FROM ", " JOIN ", " , "];

/// The tables that the statements of an application are looked for by.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// The tables.
    pub names: &'a [TableName],
    /// `@@lower_case_table_names`.
    pub lower_case_table_names: u8,
}

impl<'a> Tables<'a> {
    /// Whether two names mean the same to the server.
    pub(super) fn equal(self, one: &str, other: &str) -> bool {
        match self.lower_case_table_names {
            0 => one == other,
            _ => one.to_lowercase() == other.to_lowercase(),
        }
    }

    /// The tables among them with whose name a part of a statement begins; `schema` is the default of its session.
    pub(super) fn at(self, rest: &str, schema: &str) -> impl Iterator<Item = &'a TableName> {
        self.names.iter().filter(move |table| {
            let starts = |name: String| {
                rest.get(..name.len()).is_some_and(|start| self.equal(start, &name))
                    && rest
                        .get(name.len()..)
                        .is_some_and(|after| after.is_empty() || after.starts_with([' ', '(', ';']))
            };
            // The statistics quote a name, but do not double a quote in it.
            let plain = |name: &Identifier| format!("`{}`", name.as_str());
            let (schema_name, table_name) = (plain(&table.schema), plain(&table.table));
            let qualified = [format!("{schema_name} . {table_name}"), format!("{schema_name}.{table_name}")];
            let alone = self.equal(table.schema.as_str(), schema) && starts(table_name) && !is_qualified(rest);
            alone || qualified.into_iter().any(starts)
        })
    }

    /// What a statement does to one of the tables; `None`: it concerns none of them, or does something else. One that inserts what it
    /// selects writes the table that it inserts into.
    #[must_use]
    pub fn kind_of(self, text: &str, schema: &str) -> Option<StatementKind> {
        // So begins a statement that the client had prepared.
        let text = text.strip_prefix("EXECUTE ").unwrap_or(text);
        let (word, rest) = text.split_once(' ')?;
        let target = || self.at(after_words(rest, &BEFORE_A_TABLE), schema).next().is_some();
        let joined = || {
            let places = JOINED.iter().flat_map(|before| rest.match_indices(before).map(|(at, _)| at + before.len()));
            places.into_iter().any(|at| rest.get(at..).is_some_and(|rest| self.at(rest, schema).next().is_some()))
        };
        match word {
            "SELECT" => joined().then_some(StatementKind::Read),
            "INSERT" | "REPLACE" => target().then_some(StatementKind::Write),
            "UPDATE" => (target() || joined()).then_some(StatementKind::Write),
            "DELETE" => (target() || joined()).then_some(StatementKind::Delete),
            _ => None,
        }
    }
}

/// A text without the words that may begin it, in order.
pub(super) fn after_words<'a>(text: &'a str, words: &[&str]) -> &'a str {
    words
        .iter()
        .fold(text, |rest, word| rest.strip_prefix(word).and_then(|rest| rest.strip_prefix(' ')).unwrap_or(rest))
}

/// Whether a schema stands before the table's name.
fn is_qualified(rest: &str) -> bool {
    let name_ends = rest.get(1..).and_then(|inner| inner.find('`')).map(|end| end + 2);
    let after = name_ends.and_then(|end| rest.get(end..)).unwrap_or_default();
    after.trim_start().starts_with('.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn kind(text: &str, schema: &str) -> Option<StatementKind> {
        let table = |schema: &str, table: &str| {
            TableName::new(Identifier::new(schema).unwrap(), Identifier::new(table).unwrap())
        };
        let names = [table("shop", "users"), table("shop", "odd name")];
        Tables { names: &names, lower_case_table_names: 0 }.kind_of(text, schema)
    }

    #[test]
    fn statements_on_the_tables_are_known_by_what_they_do() {
        for (text, expected) in [
            ("SELECT * FROM `users` WHERE `id` = ?", StatementKind::Read),
            ("EXECUTE SELECT `id` FROM `users`", StatementKind::Read),
            (
                "SELECT `b` . * FROM `bookmarks` `b` LEFT JOIN `users` ON `users` . `id` = `b` . `user_id`",
                StatementKind::Read,
            ),
            ("SELECT * FROM `bookmarks` , `odd name`", StatementKind::Read),
            ("SELECT ? FROM `shop` . `users`", StatementKind::Read),
            ("INSERT INTO `users` ( `email` ) VALUES (?)", StatementKind::Write),
            ("INSERT IGNORE INTO `users` SET `email` = ?", StatementKind::Write),
            ("INSERT INTO `odd name` SELECT * FROM `bookmarks`", StatementKind::Write),
            ("REPLACE INTO `users` VALUES (...)", StatementKind::Write),
            ("UPDATE `users` SET `email` = ?", StatementKind::Write),
            ("UPDATE `bookmarks` JOIN `users` ON ? SET `note` = ?", StatementKind::Write),
            ("DELETE FROM `users` WHERE `id` = ?", StatementKind::Delete),
            ("DELETE `u` FROM `users` `u` JOIN `bookmarks` ON ?", StatementKind::Delete),
        ] {
            assert_eq!(kind(text, "shop"), Some(expected), "{text}");
        }
    }

    #[test]
    fn statements_on_other_tables_or_of_other_kinds_are_none() {
        for text in [
            "SELECT `users` FROM `bookmarks`",
            "SELECT * FROM `users_old`",
            "SELECT * FROM `other` . `users`",
            "SELECT * FROM `users` . `things`",
            "INSERT INTO `copies` SELECT * FROM `users`",
            "PREPARE SELECT * FROM `users`",
            "ALTER TABLE `users` ADD COLUMN `a` INTEGER",
            "SHOW CREATE TABLE `users`",
            "SELECT",
        ] {
            assert_eq!(kind(text, "shop"), None, "{text}");
        }
        assert_eq!(kind("SELECT * FROM `users`", "elsewhere"), None);
    }
}
