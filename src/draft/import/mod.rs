//! What SQL migration files would do, as entries of a migration: keys, unique constraints and type fixes. The files are read by a
//! parser of SQL; what it does not understand, and what a migration cannot hold, is listed with its place and never left out silently.

mod alter;
mod columns;
mod constraints;
mod sections;
#[cfg(test)]
mod tests;
mod updates;

use std::collections::{BTreeMap, BTreeSet};

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, ObjectType, Statement as Parsed};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use crate::api::constraints::{ForeignKey, UniqueConstraint};
use crate::api::type_fixes::TypeFix;
use crate::plan::identifier::{Identifier, MAX_IDENTIFIER_CHARACTERS};
use crate::plan::own_statement;
use crate::plan::own_statement_refusals::refusal;
use crate::plan::sql_text::{Statement, split, tokens};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// An entry with the place that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried<T> {
    /// Number of the file.
    pub file: usize,
    /// `V2__keys.sql:14`.
    pub place: String,
    /// What a person should know about it.
    pub notes: Vec<String>,
    /// The entry.
    pub value: T,
}

/// Something that the migration does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// `V2__keys.sql:14`.
    pub place: String,
    /// The statement, shortened.
    pub statement: String,
    /// Why, and what to do instead.
    pub why: String,
    /// Whether the schema or the data would differ for it; a setting of the session makes no difference.
    pub matters: bool,
}

/// What the files say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// The schema that the files name, where they do.
    pub schema: Option<String>,
    /// Type fixes, in the order of the files.
    pub type_fixes: Vec<Carried<TypeFix>>,
    /// Unique constraints.
    pub uniques: Vec<Carried<UniqueConstraint>>,
    /// Keys.
    pub keys: Vec<Carried<ForeignKey>>,
    /// Everything else.
    pub left: Vec<Left>,
}

/// Reads files in their order. Names without a schema are in `schema`, if that is known.
#[must_use]
pub fn import(sources: &[Source], schema: Option<&str>) -> Imported {
    let mut reader = Reader { known_schema: schema.map(str::to_owned), ..Reader::default() };
    for (number, source) in sources.iter().enumerate() {
        reader.file = number;
        reader.file_name.clone_from(&source.name);
        reader.source(source);
    }
    reader.imported.schema = reader.known_schema.clone();
    reader.imported
}

/// Where in the files the reading is, and what was found so far.
#[derive(Debug, Default)]
struct Reader {
    file: usize,
    file_name: String,
    place: String,
    statement: String,
    known_schema: Option<String>,
    /// Whether a column may be NULL, by table and name in lower case, as far as the files say.
    nullable: BTreeMap<(String, String), bool>,
    /// Names of type fixes.
    names: BTreeSet<String>,
    imported: Imported,
}

impl Reader {
    fn source(&mut self, source: &Source) {
        let forward = sections::forward(&source.text);
        if let Some((line, marker)) = forward.back {
            self.place = format!("{}:{line}", self.file_name);
            self.statement = marker.to_owned();
            self.leave(
                "the way back that follows is not read: Holdfast keeps an inverse of every change itself",
                false,
            );
        }
        let statements = match split(forward.text) {
            Ok(statements) => statements,
            Err(error) => {
                self.place = format!("{}:{}", self.file_name, error.place.line);
                self.statement = "the whole file".to_owned();
                self.leave(&format!("it cannot be split into statements: {}", error.message), true);
                return;
            }
        };
        for statement in statements {
            self.place = format!("{}:{}", self.file_name, statement.place.line);
            self.statement = shortened(&statement.text);
            self.read(&statement);
        }
    }

    fn read(&mut self, statement: &Statement) {
        let words = first_words(&statement.text);
        let (first, second) = (words.0.as_str(), words.1.as_str());
        match first {
            // Settings, transactions and questions leave nothing behind.
            "SET" | "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "LOCK" | "UNLOCK"
            | "SELECT" | "SHOW" | "DESCRIBE" | "EXPLAIN" | "FLUSH" | "ANALYZE" | "CHECK" | "OPTIMIZE" => {
                self.leave(&format!("nothing of it would stay: {}", refusal(first, second)), false);
                return;
            }
            "USE" => {
                self.use_schema(statement);
                return;
            }
            "/*!" => {
                // As dumps write settings: nothing of the schema is in them.
                let setting = words.1 == "SET" || statement.text.contains(" KEYS ");
                self.leave(
                    "a comment that only some servers execute is not read: write the statement itself",
                    !setting,
                );
                return;
            }
            "CREATE" if matches!(second, "TABLE" | "TEMPORARY" | "INDEX" | "UNIQUE" | "FULLTEXT" | "SPATIAL") => {}
            "ALTER" if second == "TABLE" => {}
            "DROP" if second == "INDEX" => {}
            "UPDATE" => {}
            _ => {
                self.leave(&refusal(first, second), true);
                return;
            }
        }
        let parsed = Parser::parse_sql(&MySqlDialect {}, &statement.text);
        match parsed.map(|mut parsed| (parsed.pop(), parsed.is_empty())) {
            Ok((Some(parsed), true)) => self.parsed(parsed),
            Ok(_) => self.leave("the parser reads it as none or several statements: write it as one", true),
            Err(error) => self.leave(
                &format!(
                    "the parser of SQL does not understand it ({error}): write what it does into the manifest by hand"
                ),
                true,
            ),
        }
    }

    fn parsed(&mut self, parsed: Parsed) {
        match parsed {
            Parsed::AlterTable(alter) => self.alter(alter),
            Parsed::CreateIndex(index) => self.create_index(&index),
            Parsed::CreateTable(table) => self.create_table(&table),
            Parsed::Update(update) => self.update(&update),
            Parsed::Drop { object_type: ObjectType::Index, names, table: Some(table), .. } => {
                let Some(table) = self.own_table(&table) else { return };
                for name in names.iter().filter_map(last) {
                    self.drop_index(&table, &name);
                }
            }
            _ => self.leave("it is none of the statements that are carried over: do by hand what it does", true),
        }
    }

    fn use_schema(&mut self, statement: &Statement) {
        let name = tokens(&statement.text).ok().and_then(|tokens| tokens.get(1).and_then(|token| token.name()));
        match (name, self.known_schema.clone()) {
            (Some(name), None) => {
                self.known_schema = Some(name.clone());
                self.leave(&format!("the migration works in {name}, which spec.database.name says"), false);
            }
            (Some(name), Some(known)) if name == known => {
                self.leave("spec.database.name says it", false);
            }
            (name, known) => self.leave(
                &format!(
                    "a migration works in one schema, {}: import what belongs to {} on its own",
                    known.unwrap_or_default(),
                    name.unwrap_or_default()
                ),
                true,
            ),
        }
    }

    /// Notes something that the migration does not hold.
    fn leave(&mut self, why: &str, matters: bool) {
        let left = Left { place: self.place.clone(), statement: self.statement.clone(), why: why.to_owned(), matters };
        self.imported.left.push(left);
    }

    /// Notes a part of a statement.
    fn leave_part(&mut self, part: &str, why: &str) {
        let left = Left { place: self.place.clone(), statement: shortened(part), why: why.to_owned(), matters: true };
        self.imported.left.push(left);
    }

    fn carried<T>(&self, value: T, notes: Vec<String>) -> Carried<T> {
        Carried { file: self.file, place: self.place.clone(), notes, value }
    }

    /// The name of a table of the migrated schema; one of another schema is noted.
    fn own_table(&mut self, name: &ObjectName) -> Option<String> {
        let (schema, table) = parts(name)?;
        if let Some(schema) = schema {
            match &self.known_schema {
                None => self.known_schema = Some(schema),
                Some(known) if *known == schema => {}
                Some(known) => {
                    let why = format!(
                        "a migration changes the tables of one schema, {known}: import what belongs to {schema} on its own"
                    );
                    self.leave(&why, true);
                    return None;
                }
            }
        }
        Some(table)
    }

    /// A name for a type fix that no other has.
    fn fix_name(&mut self, text: &str) -> String {
        const LONGEST: usize = 63;
        let lower: String =
            text.to_lowercase().chars().map(|each| if each.is_alphanumeric() { each } else { '-' }).collect();
        let mut number = 1_u32;
        loop {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let stem: String = lower.chars().take(LONGEST - suffix.len()).collect();
            let name = format!("{}{suffix}", stem.trim_matches('-'));
            if self.names.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }

    /// Whether the planner will take the statements; else they are noted.
    fn takes(&mut self, statements: &[&str]) -> bool {
        let Ok(schema) = Identifier::new("migrated") else { return false };
        for text in statements {
            let refused = split(text).map_err(|error| error.to_string()).and_then(|read| {
                read.iter().try_for_each(|statement| own_statement::read(statement, &schema).map(drop))
            });
            if let Err(reason) = refused {
                self.leave(&format!("it cannot be a step of its own: {reason}"), true);
                return false;
            }
        }
        true
    }
}

/// First two words in upper case; `/*!` for a comment that servers execute.
fn first_words(text: &str) -> (String, String) {
    if text.starts_with("/*!") {
        let inner = text.trim_start_matches("/*!").trim_start_matches(|each: char| each.is_ascii_digit());
        return ("/*!".to_owned(), inner.split_whitespace().next().unwrap_or_default().to_uppercase());
    }
    let found = tokens(text).unwrap_or_default();
    let word = |place: usize| found.get(place).map(|token| token.text.to_uppercase()).unwrap_or_default();
    (word(0), word(1))
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 90;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// Schema and name.
fn parts(name: &ObjectName) -> Option<(Option<String>, String)> {
    let mut names = name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(ident) => Some(ident.value.clone()),
        ObjectNamePart::Function(_) => None,
    });
    match (names.next(), names.next(), names.next()) {
        (Some(Some(table)), None, None) => Some((None, table)),
        (Some(Some(schema)), Some(Some(table)), None) => Some((Some(schema), table)),
        _ => None,
    }
}

fn last(name: &ObjectName) -> Option<String> {
    parts(name).map(|(_, name)| name)
}

/// A name as SQL.
fn quoted(name: &str) -> String {
    Identifier::new(name).map(|name| name.quoted()).unwrap_or_default()
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn values(idents: &[Ident]) -> Vec<String> {
    idents.iter().map(|ident| ident.value.clone()).collect()
}

/// A name, cut to what MySQL allows.
fn fitting(name: String) -> String {
    name.chars().take(MAX_IDENTIFIER_CHARACTERS).collect()
}
