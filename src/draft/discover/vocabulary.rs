//! The tables of a schema as words: without a prefix that they share, and with what one has to know of all of them to understand one.

use std::collections::BTreeMap;

use super::names::ParentKey;
use super::words::{joined, reference, same_noun, same_nouns, table_words, words};
use crate::plan::catalogue::{Catalogue, Column, Table};
use crate::plan::identifier::Identifier;
use crate::plan::uniques::whole_columns;

/// Tables that hold people, the likeliest first.
const PEOPLE: [&str; 7] = ["user", "account", "employee", "staff", "member", "person", "customer"];
/// A first word that so many tables of a hundred have is a prefix.
const PREFIX_SHARE: usize = 80;
/// Fewer tables have no prefix in common but by chance.
const PREFIX_TABLES: usize = 4;

/// A table and the words of its name.
#[derive(Debug)]
pub(super) struct TableWords<'a> {
    pub(super) table: &'a Table,
    pub(super) words: Vec<String>,
    pub(super) joined: String,
}

impl TableWords<'_> {
    /// The name as the catalogue has it.
    pub(super) fn name(&self) -> &str {
        self.table.name.table.as_str()
    }
}

/// Whose key it is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// The name says the table: `hosts.hostid`.
    NamesTable,
    /// No other table has a key of this name.
    OnlyOne,
    /// Several have, none is named by it, and this one has the shortest name.
    Shortest,
    /// Several have, none is named by it, and none has a shorter name than all others.
    OneOfSeveral,
    /// It is another's.
    OfAnother,
}

/// All tables of a schema.
#[derive(Debug)]
pub(super) struct SchemaWords<'a> {
    pub(super) tables: Vec<TableWords<'a>>,
    /// How many tables' names end so, in one form of all nouns.
    endings: Vec<String>,
    people: Option<usize>,
}

impl<'a> SchemaWords<'a> {
    /// Reads the names of the schema's InnoDB tables.
    pub(super) fn new(catalogue: &'a Catalogue) -> Self {
        let of_schema = catalogue.tables.values().filter(|table| table.name.schema == catalogue.schema);
        let mut named: Vec<(&Table, Vec<String>)> =
            of_schema.map(|table| (table, table_words(table.name.table.as_str()))).collect();
        let mut firsts: BTreeMap<String, usize> = BTreeMap::new();
        for (_, words) in named.iter().filter(|(_, words)| words.len() > 1) {
            *firsts.entry(words[0].clone()).or_default() += 1;
        }
        let all = named.len();
        let prefix = firsts.into_iter().find(|(_, count)| all >= PREFIX_TABLES && count * 100 >= all * PREFIX_SHARE);
        if let Some((prefix, _)) = prefix {
            for (_, words) in named.iter_mut().filter(|(_, words)| words.len() > 1 && words[0] == prefix) {
                words.remove(0);
            }
        }
        let tables: Vec<TableWords<'a>> =
            named.into_iter().map(|(table, words)| TableWords { table, joined: joined(&words), words }).collect();
        let endings =
            tables.iter().flat_map(|table| (1..table.words.len()).map(|from| joined(&table.words[from..]))).collect();
        let people = PEOPLE.iter().find_map(|people| {
            let whole = tables.iter().position(|table| same_noun(people, &table.joined));
            whole.or_else(|| {
                let mut ending = tables
                    .iter()
                    .enumerate()
                    .filter(|(_, table)| table.words.last().is_some_and(|last| same_noun(people, last)));
                // One of several would be a guess.
                ending.next().filter(|_| ending.next().is_none()).map(|(place, _)| place)
            })
        });
        Self { tables, endings, people }
    }

    /// How many tables have a name that ends with the noun.
    pub(super) fn ending_in(&self, noun: &str) -> usize {
        self.endings.iter().filter(|ending| same_noun(ending, noun)).count()
    }

    /// The table that holds people, where one is known.
    pub(super) fn people(&self) -> Option<&TableWords<'a>> {
        self.people.and_then(|place| self.tables.get(place))
    }

    /// All keys of one column that a foreign key could refer to; with them, columns that look like one and have no constraint.
    pub(super) fn keys(&self) -> Vec<(ParentKey<'_>, &'a Column, bool)> {
        let mut keys: Vec<(ParentKey<'_>, &'a Column, bool)> = Vec::new();
        for words_of in &self.tables {
            let table = words_of.table;
            let mut unique: Vec<(Identifier, bool)> = Vec::new();
            for index in table.indexes.iter().filter(|index| index.unique && index.kind == "BTREE") {
                if let [only] = whole_columns(index).as_slice() {
                    unique.push((only.clone(), index.name.as_str() == "PRIMARY"));
                }
            }
            unique.sort_by_key(|(_, primary)| !primary);
            let mut known: Vec<String> = Vec::new();
            for (column, primary) in unique {
                let Some(found) = table.column(&column) else { continue };
                if !known.contains(&found.name.as_str().to_lowercase()) {
                    known.push(found.name.as_str().to_lowercase());
                    keys.push((key(words_of, found, primary), found, true));
                }
            }
            // Without a primary key, the column that would be it.
            if table.primary_key().is_empty() && known.is_empty() {
                let like_one = |column: &&Column| {
                    let reference = reference(column.name.as_str());
                    reference.suffix.is_some()
                        && (reference.stem.is_empty() || same_noun(&joined(&reference.stem), &words_of.joined))
                };
                keys.extend(
                    table.columns.iter().find(like_one).map(|column| (key(words_of, column, true), column, false)),
                );
            }
        }
        let names: Vec<(String, bool, usize)> =
            keys.iter().map(|(key, ..)| (joined(&key.words), names_its_table(key), key.table.words.len())).collect();
        for (place, (key, ..)) in keys.iter_mut().enumerate() {
            let (name, named, length) = &names[place];
            let rivals = || {
                names
                    .iter()
                    .enumerate()
                    .filter(|(other, each)| *other != place && each.0 == *name)
                    .map(|(_, each)| each)
            };
            key.own = if *named {
                Own::NamesTable
            } else if rivals().next().is_none() {
                Own::OnlyOne
            } else if rivals().any(|(_, named, _)| *named) {
                Own::OfAnother
            } else if rivals().all(|(.., words)| words > length) {
                Own::Shortest
            } else if is_shortest_of(&names, name) {
                Own::OfAnother
            } else {
                Own::OneOfSeveral
            };
        }
        keys
    }
}

/// Whether one of the tables with a key of this name has a shorter name than all others.
fn is_shortest_of(names: &[(String, bool, usize)], name: &str) -> bool {
    let mut lengths: Vec<usize> = names.iter().filter(|(own, ..)| own == name).map(|(.., words)| *words).collect();
    lengths.sort_unstable();
    matches!(lengths.as_slice(), [first, second, ..] if first < second)
}

/// `hostid` of `hosts`, `maintenance_hostid` of `maintenances_hosts`.
fn names_its_table(key: &ParentKey<'_>) -> bool {
    let stem = &key.reference.stem;
    let table = key.table;
    !stem.is_empty() && (same_noun(&joined(stem), &table.joined) || same_nouns(stem, &table.words))
}

fn key<'b>(table: &'b TableWords<'_>, column: &'b Column, primary: bool) -> ParentKey<'b> {
    let name = column.name.as_str();
    ParentKey { table, name, words: words(name), reference: reference(name), primary, own: Own::OnlyOne }
}
