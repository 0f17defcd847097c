//! The judge, in plain SQL: every key is there, enforced and clean, and no row or value is gone that is not in quarantine.

use std::collections::{BTreeMap, BTreeSet};

use crate::records::{Records, different_columns, rows};
use crate::sql::{Sql, list, quoted, text};
use crate::values::KeyKind;
use crate::world::{Act, Kind, Relation, World};

/// A number that no row has, and that every type of keys can hold.
const NOBODY: u64 = 30_000;

/// What quarantine holds of one table.
#[derive(Debug, Default)]
struct Kept {
    rows: BTreeSet<String>,
    /// Rows that are there more than once: they could not all go back.
    twice: Vec<String>,
    /// Names of columns whose old values are kept, by row.
    values: BTreeMap<String, BTreeSet<String>>,
}

/// SHOW CREATE TABLE of every table, without the counter.
pub(crate) async fn definitions(world: &World, sql: &mut Sql) -> Vec<String> {
    let mut definitions = Vec::new();
    for table in &world.tables {
        let rows = sql.rows(&format!("SHOW CREATE TABLE {}", quoted(&table.name))).await;
        let text = rows[0][1].clone().unwrap_or_default();
        definitions.push(match text.rsplit_once(" AUTO_INCREMENT=") {
            Some((before, after)) => format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit())),
            None => text,
        });
    }
    definitions
}

/// Rows and values that are neither where they were nor in quarantine, and rows that nobody wrote.
pub(crate) async fn unaccounted(
    world: &World,
    sql: &mut Sql,
    journal: &str,
    migration: &str,
    expected: &Records,
) -> Vec<String> {
    let mut faults = Vec::new();
    let found = Records::read(world, sql).await;
    for (place, table) in world.tables.iter().enumerate() {
        let kept = kept(world, sql, journal, migration, place).await;
        faults.extend(kept.twice.iter().map(|key| format!("{}: row {key} is in quarantine twice", table.name)));
        let (expected, found) = (&expected.tables[place], &found.tables[place]);
        for (key, row) in expected {
            match found.get(key) {
                None if kept.rows.contains(key) => {}
                None => faults.push(format!("{}: row {key} is gone and not in quarantine: {row:?}", table.name)),
                Some(_) if kept.rows.contains(key) => {
                    faults.push(format!("{}: row {key} is in quarantine and in its table", table.name))
                }
                Some(now) => {
                    for column in different_columns(row, now) {
                        let name = &table.columns[column].name;
                        if !kept.values.get(key).is_some_and(|names| names.contains(name)) {
                            faults.push(format!(
                                "{}: row {key}: {name} is {:?}, was {:?}, and nothing of it is in quarantine",
                                table.name, now[column], row[column]
                            ));
                        }
                    }
                }
            }
        }
        faults.extend(
            found
                .keys()
                .filter(|key| !expected.contains_key(*key))
                .map(|key| format!("{}: nobody wrote row {key}", table.name)),
        );
    }
    faults
}

async fn kept(world: &World, sql: &mut Sql, journal: &str, migration: &str, place: usize) -> Kept {
    let table = &world.tables[place];
    let mut kept = Kept::default();
    let registry = format!("{}.{}", quoted(journal), quoted("quarantine_tables"));
    let exists = sql
        .number(&format!("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {} AND table_name = 'quarantine_tables'", text(journal)))
        .await;
    if exists == 0 || table.primary.is_empty() {
        return kept;
    }
    let names = sql
        .rows(&format!(
            "SELECT name FROM {registry} WHERE source_schema = DATABASE() AND source_table = {} COLLATE utf8mb4_bin",
            text(&table.name)
        ))
        .await;
    for name in names.iter().filter_map(|row| row[0].as_deref()) {
        let key: Vec<String> = table.primary.iter().map(|&column| table.columns[column].shown()).collect();
        let entries = sql
            .rows(&format!(
                "SELECT holdfast_kind, holdfast_columns, {} FROM {}.{} WHERE holdfast_migration = '{migration}' AND holdfast_restored_at IS NULL \
                 AND holdfast_kind IN ('Row', 'Value')",
                key.join(", "),
                quoted(journal),
                quoted(name)
            ))
            .await;
        for entry in entries {
            let key = entry[2..].iter().map(|part| part.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" ");
            if entry[0].as_deref() == Some("Row") {
                if !kept.rows.insert(key.clone()) {
                    kept.twice.push(key);
                }
            } else {
                let names: Vec<String> = serde_json::from_str(entry[1].as_deref().unwrap_or("[]")).unwrap();
                kept.values.entry(key).or_default().extend(names);
            }
        }
    }
    kept
}

fn kind(world: &World, relation: &Relation, place: usize) -> KeyKind {
    match world.tables[relation.parent].columns[relation.parent_columns[place]].kind {
        Kind::Key(kind) => kind,
        other => unreachable!("{other:?} is no key"),
    }
}

/// `c.x = p.y AND ...`
fn pairs(world: &World, relation: &Relation, child: &str, parent: &str) -> String {
    let own = world.child_columns(relation);
    let pairs = own.iter().zip(world.parent_columns(relation));
    pairs
        .map(|(own, theirs)| format!("{child}.{} = {parent}.{}", quoted(own), quoted(theirs)))
        .collect::<Vec<_>>()
        .join(" AND ")
}

async fn orphans(world: &World, sql: &mut Sql, relation: &Relation) -> u64 {
    let complete: Vec<String> =
        world.child_columns(relation).iter().map(|name| format!("c.{} IS NOT NULL", quoted(name))).collect();
    sql.number(&format!(
        "SELECT COUNT(*) FROM {} c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})",
        quoted(&world.tables[relation.child].name),
        complete.join(" AND "),
        quoted(&world.tables[relation.parent].name),
        pairs(world, relation, "c", "p")
    ))
    .await
}

/// Keys and unique constraints that are not there, not as asked for, not clean or not enforced.
pub(crate) async fn unmet(world: &World, sql: &mut Sql) -> Vec<String> {
    let mut faults = Vec::new();
    for relation in world.relations.iter().filter(|relation| relation.wanted || relation.exists) {
        let name = &relation.name;
        let rows = sql
            .rows(&format!(
                "SELECT CAST(delete_rule AS CHAR), CAST(update_rule AS CHAR), CAST(table_name AS CHAR), CAST(referenced_table_name AS CHAR) \
                 FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE() AND constraint_name = {}",
                text(name)
            ))
            .await;
        let [rule] = &rows[..] else {
            faults.push(format!("{name}: there are {} keys of that name", rows.len()));
            continue;
        };
        let (child, parent) = (&world.tables[relation.child].name, &world.tables[relation.parent].name);
        let asked =
            [relation.on_delete.sql(), relation.on_update.sql(), child, parent].map(|part| Some(part.to_owned()));
        // MariaDB shows a RESTRICT that was added in place as NO ACTION, which means the same to InnoDB.
        let shown = |part: &Option<String>| {
            part.as_deref().filter(|part| *part != "NO ACTION").unwrap_or("RESTRICT").to_owned()
        };
        let same =
            if world.dialect.mariadb { rule.iter().map(shown).eq(asked.iter().map(shown)) } else { rule[..] == asked };
        if !same {
            faults.push(format!("{name}: is {rule:?}, asked for was {asked:?}"));
        }
        let columns = sql
            .rows(&format!(
                "SELECT CAST(column_name AS CHAR), CAST(referenced_column_name AS CHAR) FROM information_schema.key_column_usage \
                 WHERE constraint_schema = DATABASE() AND constraint_name = {} AND referenced_table_name IS NOT NULL ORDER BY ordinal_position",
                text(name)
            ))
            .await;
        let asked: Vec<Vec<Option<String>>> =
            (world.child_columns(relation).iter().zip(world.parent_columns(relation)))
                .map(|(own, theirs)| vec![Some((*own).to_owned()), Some(theirs.to_owned())])
                .collect();
        if columns != asked {
            faults.push(format!("{name}: is over {columns:?}, asked for was {asked:?}"));
        }
        let count = orphans(world, sql, relation).await;
        if count > 0 {
            faults.push(format!("{name}: {count} rows of {child} refer to no row of {parent}"));
        }
        sql.must("START TRANSACTION").await;
        faults.extend(unenforced(world, sql, relation).await);
        sql.must("ROLLBACK").await;
        sql.must("START TRANSACTION").await;
        faults.extend(inactive(world, sql, relation).await);
        sql.must("ROLLBACK").await;
    }
    for unique in &world.uniques {
        let columns = list(world.column_names(unique.table, &unique.columns));
        let table = &world.tables[unique.table].name;
        let there = sql
            .number(&format!(
                "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = {} AND index_name = {} AND non_unique = 0",
                text(table),
                text(&unique.name)
            ))
            .await;
        if there != unique.columns.len() as u64 {
            faults.push(format!("{}: {there} of its columns are in a unique index", unique.name));
        }
        let complete = not_null(&world.column_names(unique.table, &unique.columns));
        let duplicates = sql
            .number(&format!(
                "SELECT COUNT(*) FROM (SELECT 1 FROM {} WHERE {complete} GROUP BY {columns} HAVING COUNT(*) > 1) d",
                quoted(table)
            ))
            .await;
        if duplicates > 0 {
            faults.push(format!("{}: {duplicates} values of {table} occur more than once", unique.name));
        }
    }
    faults
}

fn not_null(columns: &[&str]) -> String {
    columns.iter().map(|name| format!("{} IS NOT NULL", quoted(name))).collect::<Vec<_>>().join(" AND ")
}

/// Whether a child may be pointed to nobody.
async fn unenforced(world: &World, sql: &mut Sql, relation: &Relation) -> Option<String> {
    let columns = world.child_columns(relation);
    let parts = match columns.len() {
        1 => vec![NOBODY],
        2 => vec![NOBODY / 3, 0],
        _ => vec![NOBODY / 9, 0, 0],
    };
    let mut random = fastrand::Rng::with_seed(1);
    let set: Vec<String> = (columns.iter().zip(parts).enumerate())
        .map(|(place, (name, part))| {
            format!("{} = {}", quoted(name), kind(world, relation, place).literal(part, &mut random))
        })
        .collect();
    let statement = format!(
        "UPDATE {} SET {} WHERE {} LIMIT 1",
        quoted(&world.tables[relation.child].name),
        set.join(", "),
        not_null(&columns)
    );
    match sql.run(&statement).await {
        // There is no child to point elsewhere.
        Ok(0) => None,
        Err(refused) if matches!(refused.number, Some(1451 | 1452)) => None,
        Ok(_) => Some(format!("{}: a child could be pointed to nobody: {statement}", relation.name)),
        Err(refused) => Some(format!("{}: {statement}: {}", relation.name, refused.message)),
    }
}

/// Whether the deletion of a parent does what the key says.
async fn inactive(world: &World, sql: &mut Sql, relation: &Relation) -> Option<String> {
    if relation.child == relation.parent {
        return None;
    }
    let (child, parent) = (quoted(&world.tables[relation.child].name), quoted(&world.tables[relation.parent].name));
    let statement = format!(
        "DELETE FROM {parent} WHERE EXISTS (SELECT 1 FROM {child} c WHERE {}) LIMIT 1",
        pairs(world, relation, "c", &parent)
    );
    let restricts = matches!(relation.on_delete, Act::Restrict | Act::NoAction);
    let reached = reached(world, relation.parent);
    // The child may go by another key first, and then nothing restricts; and not every server follows a deletion that comes round.
    let says_nothing = if restricts { reached.contains(&relation.child) } else { comes_round(world, &reached) };
    if says_nothing {
        return None;
    }
    match sql.run(&statement).await {
        Ok(0) => None,
        Ok(_) if restricts => Some(format!("{}: a parent could be deleted: {statement}", relation.name)),
        Ok(_) => {
            let left = orphans(world, sql, relation).await;
            (left > 0).then(|| format!("{}: {left} children stayed when their parent was deleted", relation.name))
        }
        // Another key on the way may restrict, or the cascade is too deep or too broad for the server.
        Err(refused) if matches!(refused.number, Some(1451 | 3008 | 6575)) => None,
        Err(refused) => Some(format!("{}: {statement}: {}", relation.name, refused.message)),
    }
}

/// The tables whose rows can go with one of this table, itself among them.
fn reached(world: &World, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(table) = open.pop() {
        for relation in there(world).filter(|each| each.parent == table && each.on_delete == Act::Cascade) {
            if reached.insert(relation.child) {
                open.push(relation.child);
            }
        }
    }
    reached
}

/// Whether a deletion in these tables can meet one of them again.
fn comes_round(world: &World, reached: &BTreeSet<usize>) -> bool {
    there(world)
        .filter(|each| matches!(each.on_delete, Act::Cascade | Act::SetNull) && reached.contains(&each.parent))
        .any(|each| each.child == each.parent || self::reached(world, each.child).contains(&each.parent))
}

fn there(world: &World) -> impl Iterator<Item = &Relation> {
    world.relations.iter().filter(|relation| relation.wanted || relation.exists)
}

/// Whether the tables hold exactly this.
pub(crate) async fn differences(world: &World, sql: &mut Sql, expected: &Records) -> Vec<String> {
    let mut found = Records { tables: Vec::new() };
    for table in 0..world.tables.len() {
        found.tables.push(rows(world, sql, table, "").await.unwrap_or_else(|refused| panic!("{}", refused.message)));
    }
    expected.differences(&found, world)
}
