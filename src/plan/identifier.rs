//! Names of schemas, tables, columns, indexes and constraints: validated once, quoted in one place, so that no statement is
//! ever built from an unchecked name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest identifier that MySQL accepts, in characters
/// (<https://dev.mysql.com/doc/refman/8.4/en/identifier-length.html>).
pub const MAX_IDENTIFIER_CHARACTERS: usize = 64;

/// Why a name is no MySQL identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// The name is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The name is too long.
    #[error("{name:?} has {length} characters; MySQL allows {MAX_IDENTIFIER_CHARACTERS}")]
    TooLong {
        /// The name as given.
        name: String,
        /// Its length in characters.
        length: usize,
    },
    /// The name holds a character that MySQL does not allow in identifiers.
    #[error("{name:?} holds {character:?}, which MySQL does not allow in a name")]
    Character {
        /// The name as given.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// MySQL refuses names that end in a space.
    #[error("{name:?} ends in a space, which MySQL does not allow")]
    TrailingSpace {
        /// The name as given.
        name: String,
    },
}

/// A name that MySQL accepts when quoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identifier(String);

impl Identifier {
    /// Checks a name against MySQL's rules for quoted identifiers.
    ///
    /// # Errors
    /// When the name is empty, longer than 64 characters, ends in a space, or holds NUL or a character outside the Basic
    /// Multilingual Plane.
    pub fn new(name: impl Into<String>) -> Result<Self, IdentifierError> {
        let name = name.into();
        if name.is_empty() {
            return Err(IdentifierError::Empty);
        }
        let length = name.chars().count();
        if length > MAX_IDENTIFIER_CHARACTERS {
            return Err(IdentifierError::TooLong { name, length });
        }
        if let Some(character) = name.chars().find(|&c| c == '\0' || c > '\u{ffff}') {
            return Err(IdentifierError::Character { name, character });
        }
        if name.ends_with(' ') {
            return Err(IdentifierError::TrailingSpace { name });
        }
        Ok(Self(name))
    }

    /// The name as it stands in the catalogue, for messages and for binding as a parameter; never for building SQL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as SQL: in backticks, with backticks doubled.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("`{}`", self.0.replace('`', "``"))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Identifier {
    type Error = IdentifierError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<Identifier> for String {
    fn from(identifier: Identifier) -> Self {
        identifier.0
    }
}

/// A table with the schema that it lies in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The schema (in MySQL's words also: database).
    pub schema: Identifier,
    /// The table.
    pub table: Identifier,
}

impl TableName {
    /// Joins a schema and a table.
    #[must_use]
    pub fn new(schema: Identifier, table: Identifier) -> Self {
        Self { schema, table }
    }

    /// The name as SQL, schema included.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", self.schema.quoted(), self.table.quoted())
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.schema, self.table)
    }
}

/// Several column names as SQL: quoted and separated by commas, without parentheses.
#[must_use]
pub fn quoted_list(names: &[Identifier]) -> String {
    names.iter().map(Identifier::quoted).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_quoted_name_is_one_name_to_the_server_whatever_it_holds(name in "[\\PC`'\"\\\\ ;\n]{1,64}") {
            if let Ok(name) = Identifier::new(name) {
                let quoted = name.quoted();
                let inner = quoted.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap();
                // A backtick ends a name unless another follows: read as the server does, there is one name and nothing after it.
                let mut characters = inner.chars();
                let mut read = String::new();
                while let Some(character) = characters.next() {
                    proptest::prop_assert!(character != '`' || characters.next() == Some('`'), "{}", quoted);
                    read.push(character);
                }
                proptest::prop_assert_eq!(read, name.as_str());
            }
        }
    }

    #[test]
    fn backticks_are_doubled() {
        assert_eq!(Identifier::new("a`b").unwrap().quoted(), "`a``b`");
    }

    #[test]
    fn names_that_mysql_refuses_are_refused() {
        assert_eq!(Identifier::new(""), Err(IdentifierError::Empty));
        assert!(matches!(Identifier::new("x".repeat(65)), Err(IdentifierError::TooLong { length: 65, .. })));
        assert!(matches!(Identifier::new("a\0"), Err(IdentifierError::Character { .. })));
        assert!(matches!(Identifier::new("a "), Err(IdentifierError::TrailingSpace { .. })));
        assert!(Identifier::new("é".repeat(64)).is_ok());
    }
}
