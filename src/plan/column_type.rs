//! Types of columns: read from a specification by a grammar of known words (so that no free text reaches a statement), spelled
//! as the catalogue spells them, and compared by the rules of foreign keys.

use super::catalogue::Column;

/// A type in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnType {
    /// Lower-case name without synonyms.
    pub(crate) base: String,
    /// Length, or precision and scale.
    pub(crate) arguments: Vec<u32>,
    /// Values of ENUM and SET, unescaped.
    pub(crate) members: Vec<String>,
    pub(crate) unsigned: bool,
    pub(crate) zerofill: bool,
    pub(crate) character_set: Option<String>,
    pub(crate) collation: Option<String>,
}

/// What kinds of values a type holds; only within one a type is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Integer,
    Decimal,
    Floating,
    Text,
    Bytes,
    Members,
    Temporal,
    Other,
}

const INTEGERS: [&str; 5] = ["tinyint", "smallint", "mediumint", "int", "bigint"];
/// Display widths that servers before 8.0.19 print when none was given: signed, unsigned.
const WIDTHS: [(u32, u32); 5] = [(4, 3), (6, 5), (9, 8), (11, 10), (20, 20)];

impl ColumnType {
    /// Reads a type.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let word = take_word(&mut rest).to_lowercase();
        let base = match word.as_str() {
            "integer" => "int",
            "dec" | "numeric" | "fixed" => "decimal",
            "real" => "double",
            "bool" | "boolean" => "tinyint",
            other => other,
        };
        let known = INTEGERS.contains(&base)
            || ["decimal", "float", "double", "bit", "char", "varchar", "binary", "varbinary", "enum", "set", "json"]
                .contains(&base)
            || ["date", "datetime", "timestamp", "time", "year"].contains(&base)
            || ["tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob"]
                .contains(&base);
        if !known {
            return Err(format!(
                "{text:?} is no column type that Holdfast knows: write it as MySQL does, such as BIGINT UNSIGNED or VARCHAR(64)"
            ));
        }
        let mut parsed = Self {
            base: base.to_owned(),
            arguments: Vec::new(),
            members: Vec::new(),
            unsigned: false,
            zerofill: false,
            character_set: None,
            collation: None,
        };
        rest = rest.trim_start();
        if base == "double" {
            rest = strip_word(rest, "precision").unwrap_or(rest);
        }
        if let Some(inner) = rest.strip_prefix('(') {
            rest = parsed
                .parse_arguments(inner)
                .ok_or_else(|| format!("{text:?}: what stands in parentheses is not understood"))?;
        }
        while !rest.trim().is_empty() {
            rest = rest.trim_start();
            let word = take_word(&mut rest).to_lowercase();
            match word.as_str() {
                "unsigned" => parsed.unsigned = true,
                "zerofill" => (parsed.unsigned, parsed.zerofill) = (true, true),
                "character" | "charset" => {
                    if word == "character" {
                        rest = strip_word(rest.trim_start(), "set")
                            .ok_or_else(|| format!("{text:?}: CHARACTER must be followed by SET"))?;
                    }
                    rest = rest.trim_start();
                    parsed.character_set = Some(take_word(&mut rest).to_lowercase());
                }
                "collate" => {
                    rest = rest.trim_start();
                    parsed.collation = Some(take_word(&mut rest).to_lowercase());
                }
                _ => {
                    let near = if word.is_empty() { rest } else { &word };
                    return Err(format!(
                        "{text:?}: {near:?} is no part of a type; attributes such as NOT NULL or DEFAULT are kept as they are and not written here"
                    ));
                }
            }
        }
        parsed.settle(text)?;
        Ok(parsed)
    }

    /// Brings what may be left out or written in several ways to one form.
    fn settle(&mut self, text: &str) -> Result<(), String> {
        let empty = |name: &Option<String>| name.as_ref().is_some_and(String::is_empty);
        if empty(&self.character_set) || empty(&self.collation) {
            return Err(format!("{text:?}: the name of the character set or collation is missing"));
        }
        if self.character_set.is_some() && self.collation.is_none() {
            return Err(format!(
                "{text:?}: name the collation too (COLLATE ...), since servers differ in their defaults"
            ));
        }
        if (self.unsigned || self.zerofill)
            && !matches!(self.family(), Family::Integer | Family::Decimal | Family::Floating)
        {
            return Err(format!("{text:?}: only numbers can be UNSIGNED"));
        }
        if let (None, Some(collation)) = (&self.character_set, &self.collation) {
            self.character_set = Some(character_set_of(collation).to_owned());
        }
        let first_word_is_bool = text.trim().to_lowercase().starts_with("bool");
        match self.base.as_str() {
            base if INTEGERS.contains(&base) => {
                // The display width has no effect but for TINYINT(1), which clients read as a truth value, and with ZEROFILL.
                let truth = base == "tinyint" && !self.unsigned && (self.arguments == [1] || first_word_is_bool);
                if truth {
                    self.arguments = vec![1];
                } else if !self.zerofill {
                    self.arguments.clear();
                }
            }
            "decimal" => {
                if self.arguments.is_empty() {
                    self.arguments.push(10);
                }
                if self.arguments.len() == 1 {
                    self.arguments.push(0);
                }
            }
            "char" | "binary" | "bit" if self.arguments.is_empty() => self.arguments.push(1),
            "varchar" | "varbinary" if self.arguments.len() != 1 => {
                return Err(format!("{text:?}: the length is missing, as in VARCHAR(64)"));
            }
            "enum" | "set" if self.members.is_empty() => return Err(format!("{text:?}: the values are missing")),
            "datetime" | "timestamp" | "time" if self.arguments == [0] => self.arguments.clear(),
            "year" => self.arguments.clear(),
            _ => {}
        }
        Ok(())
    }

    fn parse_arguments<'a>(&mut self, mut rest: &'a str) -> Option<&'a str> {
        loop {
            rest = rest.trim_start();
            if let Some(quoted) = rest.strip_prefix('\'') {
                let (member, after) = take_string(quoted)?;
                // A backslash is an escape in SQL but not in the catalogue.
                if member.contains('\\') {
                    return None;
                }
                self.members.push(member);
                rest = after;
            } else {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                self.arguments.push(rest.get(..digits)?.parse().ok()?);
                rest = &rest[digits..];
            }
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix(')') {
                let is_list = matches!(self.base.as_str(), "enum" | "set");
                return (is_list != self.members.is_empty() && is_list == self.arguments.is_empty()).then_some(after);
            }
            rest = rest.strip_prefix(',')?;
        }
    }

    /// As `COLUMN_TYPE` of the catalogue spells it: without character set and collation.
    /// `widths`: [`super::catalogue::Server::shows_display_widths`].
    pub(crate) fn spelled(&self, widths: bool) -> String {
        let mut arguments = self.arguments.clone();
        if arguments.is_empty()
            && widths
            && let Some(place) = INTEGERS.iter().position(|base| *base == self.base)
        {
            let (signed, unsigned) = WIDTHS[place];
            arguments.push(if self.unsigned { unsigned } else { signed });
        }
        let mut text = self.base.clone();
        if !self.members.is_empty() {
            let members: Vec<_> =
                self.members.iter().map(|member| format!("'{}'", member.replace('\'', "''"))).collect();
            text.push_str(&format!("({})", members.join(",")));
        } else if !arguments.is_empty() {
            let arguments: Vec<_> = arguments.iter().map(u32::to_string).collect();
            text.push_str(&format!("({})", arguments.join(",")));
        }
        if self.unsigned {
            text.push_str(" unsigned");
        }
        if self.zerofill {
            text.push_str(" zerofill");
        }
        text
    }

    /// As SQL, with character set and collation where they were given.
    pub(crate) fn sql(&self, widths: bool) -> String {
        let mut text = self.spelled(widths);
        if let Some(character_set) = &self.character_set {
            text.push_str(&format!(" CHARACTER SET {character_set}"));
        }
        if let Some(collation) = &self.collation {
            text.push_str(&format!(" COLLATE {collation}"));
        }
        text
    }

    /// The kind of values.
    pub(crate) fn family(&self) -> Family {
        match self.base.as_str() {
            base if INTEGERS.contains(&base) => Family::Integer,
            "decimal" => Family::Decimal,
            "float" | "double" => Family::Floating,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Family::Text,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Family::Bytes,
            "enum" | "set" => Family::Members,
            "date" | "datetime" | "timestamp" | "time" | "year" => Family::Temporal,
            _ => Family::Other,
        }
    }

    /// Whether an index can hold whole values.
    pub(crate) fn is_indexable(&self) -> bool {
        self.base != "json" && !self.base.ends_with("text") && !self.base.ends_with("blob")
    }
}

/// Why a child's column cannot refer to a parent's; `None` if it can.
pub(crate) fn key_mismatch(child: &Column, parent: &Column) -> Option<String> {
    let (Ok(own), Ok(other)) = (ColumnType::parse(&child.column_type), ColumnType::parse(&parent.column_type)) else {
        // Types outside the grammar (spatial ones and the like).
        return Some("a foreign key cannot be on such a type".to_owned());
    };
    if !own.is_indexable() || !other.is_indexable() {
        return Some("a foreign key needs whole values in an index, which this type does not allow".to_owned());
    }
    let kind = |base: &str| match base {
        "varchar" => "char".to_owned(),
        "varbinary" => "binary".to_owned(),
        other => other.to_owned(),
    };
    if kind(&own.base) != kind(&other.base) {
        return Some("the types differ".to_owned());
    }
    if own.unsigned != other.unsigned {
        return Some("one is signed, the other is not".to_owned());
    }
    let lengths_matter = !matches!(own.family(), Family::Integer | Family::Text | Family::Bytes);
    if (lengths_matter && own.arguments != other.arguments) || own.members != other.members {
        return Some("the sizes differ".to_owned());
    }
    if child.character_set != parent.character_set {
        return Some("the character sets differ".to_owned());
    }
    if child.collation != parent.collation {
        return Some("the collations differ".to_owned());
    }
    None
}

/// A collation's name begins with its character set's.
pub(crate) fn character_set_of(collation: &str) -> &str {
    collation.split('_').next().unwrap_or(collation)
}

fn take_word<'a>(rest: &mut &'a str) -> &'a str {
    let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let (word, after) = rest.split_at(length);
    *rest = after;
    word
}

fn strip_word<'a>(rest: &'a str, word: &str) -> Option<&'a str> {
    let mut after = rest;
    (take_word(&mut after).to_lowercase() == word).then_some(after)
}

/// A string up to its closing quote, which may be doubled inside.
fn take_string(text: &str) -> Option<(String, &str)> {
    let mut member = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((position, character)) = characters.next() {
        if character != '\'' {
            member.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == '\'') {
            characters.next();
            member.push('\'');
        } else {
            return Some((member, &text[position + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn types_are_spelled_as_the_catalogue_does() {
        for (written, spelled) in [
            ("BIGINT UNSIGNED", "bigint unsigned"),
            (" Integer(11) ", "int"),
            ("TINYINT(1)", "tinyint(1)"),
            ("BOOLEAN", "tinyint(1)"),
            ("NUMERIC(8)", "decimal(8,0)"),
            ("DOUBLE PRECISION", "double"),
            ("VarChar( 64 )", "varchar(64)"),
            ("ENUM('a', 'it''s')", "enum('a','it''s')"),
            ("DATETIME(0)", "datetime"),
            ("TIMESTAMP(3)", "timestamp(3)"),
        ] {
            assert_eq!(ColumnType::parse(written).unwrap().spelled(false), spelled, "{written}");
        }
        assert_eq!(ColumnType::parse("INT UNSIGNED").unwrap().spelled(true), "int(10) unsigned");
    }

    #[test]
    fn free_text_never_becomes_a_type() {
        for written in [
            "",
            "INT NOT NULL",
            "INT; DROP TABLE users",
            "INT, ADD COLUMN x INT",
            "VARCHAR",
            "VARCHAR(10) COLLATE",
            "VARCHAR(10) COLLATE `x`",
            "VARCHAR(10) CHARACTER SET utf8mb4",
            "ENUM('a",
            "ENUM(1)",
            "INT('a')",
            "GEOMETRY",
            "INT /* x */",
            "DATE UNSIGNED",
        ] {
            assert!(ColumnType::parse(written).is_err(), "{written}");
        }
    }

    #[test]
    fn a_collation_brings_its_character_set() {
        let parsed = ColumnType::parse("varchar(10) collate utf8mb4_bin").unwrap();
        assert_eq!(parsed.sql(false), "varchar(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    }
}
