//! The foreign keys in a before-image: what SHOW CREATE TABLE says of them. A server writes each on a line of its own with every name in
//! backticks, so that the lines can be read without understanding the rest of the statement.

use crate::plan::catalogue::{ForeignKey, ReferentialAction};
use crate::plan::identifier::{Identifier, TableName};

/// The keys of a table, in their order. A line that is not as servers write it is left out.
pub(super) fn foreign_keys(child: &TableName, statement: &str) -> Vec<ForeignKey> {
    statement.lines().filter_map(|line| foreign_key(child, line.trim())).collect()
}

fn foreign_key(child: &TableName, line: &str) -> Option<ForeignKey> {
    let mut rest = Rest(line.strip_prefix("CONSTRAINT ")?);
    let name = rest.name()?;
    rest.word(" FOREIGN KEY ")?;
    let columns = rest.list()?;
    rest.word(" REFERENCES ")?;
    let first = rest.name()?;
    let parent = match rest.word(".") {
        Some(()) => TableName::new(first, rest.name()?),
        None => TableName::new(child.schema.clone(), first),
    };
    rest.word(" ")?;
    let parent_columns = rest.list()?;
    // What a server does unless told otherwise is not written.
    let action = |clause: &str| -> ReferentialAction {
        let written = rest.0.split_once(clause).map(|(_, after)| after).unwrap_or_default();
        [ReferentialAction::Cascade, ReferentialAction::SetNull, ReferentialAction::Restrict]
            .into_iter()
            .find(|action| written.starts_with(action.sql()))
            .unwrap_or(ReferentialAction::NoAction)
    };
    let (on_delete, on_update) = (action("ON DELETE "), action("ON UPDATE "));
    Some(ForeignKey { name, child: child.clone(), columns, parent, parent_columns, on_delete, on_update })
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn word(&mut self, word: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    /// A name in backticks, in which a backtick is doubled.
    fn name(&mut self) -> Option<Identifier> {
        let mut name = String::new();
        let mut characters = self.0.strip_prefix('`')?.char_indices().peekable();
        let inside = &self.0[1..];
        while let Some((place, character)) = characters.next() {
            if character != '`' {
                name.push(character);
            } else if characters.next_if(|(_, next)| *next == '`').is_some() {
                name.push('`');
            } else {
                self.0 = &inside[place + 1..];
                return Identifier::new(name).ok();
            }
        }
        None
    }

    fn list(&mut self) -> Option<Vec<Identifier>> {
        self.word("(")?;
        let mut names = vec![self.name()?];
        while self.word(", ").or_else(|| self.word(",")).is_some() {
            names.push(self.name()?);
        }
        self.word(")")?;
        Some(names)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(name: &str) -> TableName {
        TableName::new(Identifier::new("shop").unwrap(), Identifier::new(name).unwrap())
    }

    #[test]
    fn keys_are_read_as_servers_write_them() {
        let statement = "CREATE TABLE `odd``name` (\n  `a` int DEFAULT NULL COMMENT 'CONSTRAINT `x` FOREIGN KEY (`a`)',\n  PRIMARY KEY (`id`),\n  \
             KEY `k` (`a`),\n  CONSTRAINT `one``two` FOREIGN KEY (`a`, `b c`) REFERENCES `users` (`id`, `x,y`) ON DELETE SET NULL ON UPDATE CASCADE,\n  \
             CONSTRAINT `far` FOREIGN KEY (`a`) REFERENCES `other`.`t` (`id`),\n  CONSTRAINT `check_1` CHECK ((`a` > 0))\n) ENGINE=InnoDB";
        let keys = foreign_keys(&table("odd`name"), statement);
        let text: Vec<String> = keys
            .iter()
            .map(|key| {
                let columns: Vec<&str> =
                    key.columns.iter().chain(&key.parent_columns).map(Identifier::as_str).collect();
                format!("{} {} {columns:?} {} {}", key.name, key.parent, key.on_delete.sql(), key.on_update.sql())
            })
            .collect();
        assert_eq!(
            text,
            [
                "one`two shop.users [\"a\", \"b c\", \"id\", \"x,y\"] SET NULL CASCADE",
                "far other.t [\"a\", \"id\"] NO ACTION NO ACTION"
            ]
        );
    }

    #[test]
    fn half_a_line_is_no_key() {
        for line in
            ["CONSTRAINT `a` FOREIGN KEY (`a`", "CONSTRAINT `a` FOREIGN KEY () REFERENCES `t` (`id`)", "CONSTRAINT `a"]
        {
            assert_eq!(foreign_keys(&table("t"), line), [], "{line}");
        }
    }
}
