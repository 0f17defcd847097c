//! Rows: those of before, with the faults that such data has, and those that the application writes meanwhile.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::sql::{Sql, list, quoted, text};
use crate::values::KeyKind;
use crate::world::{Code, Kind, Relation, Via, World};

/// In every table the rows 1 and 2 have no fault, refer to rows without fault, and are never touched by a cleanup.
pub(crate) const SOUND: u64 = 2;
/// No row has one of these numbers: they stand for parents that do not exist.
const ABSENT: std::ops::Range<u64> = 45..95;
/// The greatest number of rows that exist before.
const ROWS_TOGETHER: usize = 500;

/// What a row refers to by one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refers {
    /// The row of this number, which may or may not exist.
    To(u64),
    /// Nothing, where the columns allow it.
    Nowhere,
}

/// The numbers of a key with several columns.
fn parts(number: u64, columns: usize) -> Vec<u64> {
    match columns {
        1 => vec![number],
        2 => vec![number / 3, number % 3],
        _ => vec![number / 9, number / 3 % 3, number % 3],
    }
}

/// A label of a row.
fn label(table: usize, number: u64) -> String {
    text(&format!("label {table}/{number}"))
}

/// A parent that does not exist.
pub(crate) fn absent(random: &mut Rng) -> u64 {
    random.u64(ABSENT)
}

/// One row: the literal of every column.
pub(crate) fn row(
    world: &World,
    place: usize,
    number: u64,
    tag: &str,
    random: &mut Rng,
    mut refers: impl FnMut(&mut Rng, &Relation) -> Refers,
) -> Vec<String> {
    let table = &world.tables[place];
    let mut numbers: BTreeMap<usize, Option<u64>> = BTreeMap::new();
    numbers.extend(table.primary.iter().copied().zip(parts(number, table.primary.len().max(1)).into_iter().map(Some)));
    if let Some(Code::Unique(column) | Code::Wanted(column)) = table.code {
        numbers.insert(column, Some(number));
    }
    let mut matchers: BTreeMap<usize, String> = BTreeMap::new();
    let own = |relation: &&Relation| relation.child == place;
    let (exist, come): (Vec<&Relation>, Vec<&Relation>) =
        world.relations.iter().filter(own).partition(|relation| relation.exists);
    for relation in exist.into_iter().chain(come) {
        let to = refers(random, relation);
        if let Via::Added { matcher, .. } = relation.via {
            let literal = match to {
                Refers::To(parent) => label(relation.parent, parent),
                Refers::Nowhere => "NULL".to_owned(),
            };
            matchers.insert(matcher, literal);
            continue;
        }
        let given = match to {
            Refers::To(parent) => parts(parent, relation.columns.len()).into_iter().map(Some).collect(),
            Refers::Nowhere => without_reference(world, relation, random),
        };
        for (&column, value) in relation.columns.iter().zip(given) {
            numbers.entry(column).or_insert(value);
        }
    }
    let mut literals = Vec::with_capacity(table.columns.len());
    for (column, definition) in table.columns.iter().enumerate() {
        literals.push(match definition.kind {
            Kind::Key(kind) => match numbers.get(&column).copied().flatten() {
                Some(value) => kind.literal(value, random),
                None => "NULL".to_owned(),
            },
            Kind::Tag => text(tag),
            Kind::Slot => {
                if number <= SOUND || number > 100 {
                    (1000 + number).to_string()
                } else {
                    random.u32(0..3).to_string()
                }
            }
            Kind::Label => label(place, number),
            Kind::Matcher => matchers.remove(&column).unwrap_or_else(|| "NULL".to_owned()),
            Kind::Payload(payload) => payload.literal(random),
        });
    }
    literals
}

/// Values for a reference to nothing: one NULL is enough, the rest may be anything.
fn without_reference(world: &World, relation: &Relation, random: &mut Rng) -> Vec<Option<u64>> {
    let columns = &world.tables[relation.child].columns;
    let anything = parts(random.u64(1..60), relation.columns.len());
    let nullable: Vec<bool> = relation.columns.iter().map(|&place| columns[place].nullable).collect();
    if !nullable.contains(&true) {
        return parts(1, relation.columns.len()).into_iter().map(Some).collect();
    }
    let mut values: Vec<Option<u64>> = anything
        .into_iter()
        .zip(&nullable)
        .map(|(value, &nullable)| if nullable && random.bool() { None } else { Some(value) })
        .collect();
    if !values.contains(&None) {
        let first = nullable.iter().position(|&nullable| nullable).unwrap_or(0);
        values[first] = None;
    }
    values
}

/// What a row of before refers to.
fn of_before(world: &World, number: u64, random: &mut Rng, relation: &Relation) -> Refers {
    let parents = world.tables[relation.parent].rows;
    if number <= SOUND {
        return Refers::To(random.u64(1..=SOUND));
    }
    match random.u32(0..20) {
        0..=2 if relation.dirty => Refers::To(absent(random)),
        3..=5 => Refers::Nowhere,
        _ => Refers::To(random.u64(1..=parents)),
    }
}

/// The statement that inserts rows.
pub(crate) fn insert(world: &World, place: usize, rows: &[Vec<String>]) -> String {
    let table = &world.tables[place];
    let written: Vec<usize> = (0..table.columns.len()).filter(|&column| !table.columns[column].generated()).collect();
    let values: Vec<String> = rows
        .iter()
        .map(|row| format!("({})", written.iter().map(|&column| row[column].as_str()).collect::<Vec<_>>().join(", ")))
        .collect();
    format!(
        "INSERT INTO {} ({}) VALUES {}",
        quoted(&table.name),
        list(written.iter().map(|&column| table.columns[column].name.as_str())),
        values.join(", ")
    )
}

/// The condition that finds a row by its number.
pub(crate) fn found_by(world: &World, place: usize, number: u64, random: &mut Rng) -> String {
    let table = &world.tables[place];
    let conditions: Vec<String> = table
        .primary
        .iter()
        .zip(parts(number, table.primary.len()))
        .map(|(&column, part)| match table.columns[column].kind {
            Kind::Key(kind) => format!("{} = {}", quoted(&table.columns[column].name), kind.literal(part, random)),
            other => unreachable!("{other:?} is no key"),
        })
        .collect();
    conditions.join(" AND ")
}

/// The literals of a reference to a row.
pub(crate) fn reference(world: &World, relation: &Relation, to: Refers, random: &mut Rng) -> Vec<String> {
    let values = match to {
        Refers::To(number) => parts(number, relation.columns.len()).into_iter().map(Some).collect(),
        Refers::Nowhere => without_reference(world, relation, random),
    };
    let kind = |place: usize| match world.tables[relation.child].columns[place].kind {
        Kind::Key(kind) => kind,
        _ => KeyKind::Int,
    };
    let literal = |(&place, value): (&usize, Option<u64>)| {
        value.map_or_else(|| "NULL".to_owned(), |value| kind(place).literal(value, &mut *random))
    };
    relation.columns.iter().zip(values).map(literal).collect()
}

/// Makes the schema and fills it.
pub(crate) async fn create(world: &World, sql: &mut Sql, random: &mut Rng) {
    sql.must("SET SESSION foreign_key_checks = 0").await;
    for place in 0..world.tables.len() {
        sql.must(&world.create_table(place)).await;
        let table = &world.tables[place];
        let mut rows: Vec<Vec<String>> = (1..=table.rows)
            .map(|number| {
                row(world, place, number, &format!("before {number}"), random, |random, relation| {
                    of_before(world, number, random, relation)
                })
            })
            .collect();
        if let Some(Code::Wanted(column)) = table.code {
            spoil(&mut rows, column, table.columns[column].nullable, random);
        }
        if let Some(column) = table.label {
            spoil(&mut rows, column, true, random);
        }
        for some in rows.chunks(ROWS_TOGETHER) {
            sql.must(&insert(world, place, some)).await;
        }
    }
    sql.must("SET SESSION foreign_key_checks = 1").await;
    for relation in world.relations.iter().filter(|relation| relation.exists) {
        sql.must(&world.add_key(relation)).await;
    }
}

/// Makes duplicates of values, and NULLs.
fn spoil(rows: &mut [Vec<String>], column: usize, nullable: bool, random: &mut Rng) {
    let sound = usize::try_from(SOUND).unwrap();
    for place in sound..rows.len() {
        match random.u32(0..12) {
            0..=1 => rows[place][column] = rows[random.usize(sound..rows.len())][column].clone(),
            2 if nullable => rows[place][column] = "NULL".to_owned(),
            _ => {}
        }
    }
}
