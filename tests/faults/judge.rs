//! The judge, in plain SQL: after a fault the keys are there and enforced, or the schema is as it was; and no row or value from before
//! is gone that is not in quarantine. It knows the library's tables and what Holdfast writes down where, and shares no code with it.

use std::collections::{BTreeMap, BTreeSet};

use super::harness::Outcome;
use super::server::Sql;
use super::traffic::FIRST_ID;

/// The tables of the library.
const TABLES: [&str; 6] = ["users", "agencies", "protocols", "bookmarks", "feedback", "auth_providers"];

/// A key of the library's migration: name, child, column, parent, and what a parent's deletion does.
const KEYS: [(&str, &str, &str, &str, &str); 4] = [
    ("fk_bookmarks_user", "bookmarks", "user_id", "users", "CASCADE"),
    ("fk_feedback_user", "feedback", "user_id", "users", "SET NULL"),
    ("fk_auth_providers_user", "auth_providers", "user_id", "users", "CASCADE"),
    ("fk_bookmarks_protocol", "bookmarks", "protocol_id", "protocols", "RESTRICT"),
];

/// A number that no parent has.
const NOBODY: u64 = 4_000_000;

/// Every row of before, by table and id, with all its values by column; and how the tables were defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before {
    rows: BTreeMap<(&'static str, u64), BTreeMap<String, Option<String>>>,
    definitions: BTreeMap<&'static str, String>,
}

impl Before {
    /// Reads what is there, but for what the application writes during the fault.
    pub(crate) async fn read(sql: &mut Sql) -> Outcome<Self> {
        let (mut rows, mut definitions) = (BTreeMap::new(), BTreeMap::new());
        for table in TABLES {
            let columns = sql
                .rows(&format!(
                    "SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() \
                     AND table_name = '{table}' ORDER BY ordinal_position"
                ))
                .await?;
            let columns: Vec<String> = columns.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
            let list: Vec<String> = columns.iter().map(|column| format!("CAST(`{column}` AS CHAR)")).collect();
            let query = format!("SELECT id, {} FROM `{table}` WHERE id < {FIRST_ID}", list.join(", "));
            for row in sql.rows(&query).await? {
                let mut values = row.into_iter();
                let id = values.next().flatten().and_then(|id| id.parse().ok());
                let id = id.ok_or_else(|| format!("a row of {table} has no id"))?;
                rows.insert((table, id), columns.iter().cloned().zip(values).collect());
            }
            let answer = sql.rows(&format!("SHOW CREATE TABLE `{table}`")).await?;
            let text = answer.first().and_then(|row| row.get(1)).cloned().flatten().unwrap_or_default();
            definitions.insert(table, without_counter(&text));
        }
        Ok(Self { rows, definitions })
    }
}

/// A definition without its AUTO_INCREMENT value.
fn without_counter(definition: &str) -> String {
    match definition.rsplit_once(" AUTO_INCREMENT=") {
        Some((before, after)) => format!("{before}{}", after.trim_start_matches(|digit: char| digit.is_ascii_digit())),
        None => definition.to_owned(),
    }
}

/// What is in quarantine: whole rows, and columns whose old value is kept, by table and id.
#[derive(Debug, Default)]
struct Kept {
    rows: BTreeSet<(&'static str, u64)>,
    values: BTreeMap<(&'static str, u64), BTreeMap<String, Option<String>>>,
    twice: Vec<String>,
}

async fn kept(sql: &mut Sql, schema: &str) -> Outcome<Kept> {
    let mut kept = Kept::default();
    let there = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'holdfast' AND table_name = 'quarantine_tables'";
    if sql.number(there).await? == 0 {
        return Ok(kept);
    }
    for table in TABLES {
        let names = format!(
            "SELECT name FROM holdfast.quarantine_tables WHERE source_schema = '{schema}' AND source_table = '{table}'"
        );
        for name in sql.rows(&names).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()) {
            let columns: Vec<String> = sql
                .rows(&format!(
                    "SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE table_schema = 'holdfast' \
                     AND table_name = '{name}' AND column_name NOT LIKE 'holdfast\\_%' ORDER BY ordinal_position"
                ))
                .await?
                .into_iter()
                .filter_map(|row| row.into_iter().next().flatten())
                .collect();
            let list: Vec<String> = columns.iter().map(|column| format!("CAST(`{column}` AS CHAR)")).collect();
            let entries = format!(
                "SELECT holdfast_kind, holdfast_columns, id, {} FROM holdfast.`{name}` WHERE holdfast_restored_at IS NULL \
                 AND holdfast_kind IN ('Row', 'Value')",
                list.join(", ")
            );
            for entry in sql.rows(&entries).await? {
                let [Some(kind), names, Some(id), values @ ..] = &entry[..] else {
                    return Err(format!("holdfast.{name} has an entry without a kind or an id: {entry:?}"));
                };
                let id = id.parse().map_err(|error| format!("holdfast.{name}: {id}: {error}"))?;
                if kind == "Row" {
                    if !kept.rows.insert((table, id)) {
                        kept.twice.push(format!("{table} {id} is in quarantine twice"));
                    }
                    continue;
                }
                let named: Vec<String> = serde_json::from_str(names.as_deref().unwrap_or("[]"))
                    .map_err(|error| format!("holdfast.{name}: {names:?}: {error}"))?;
                let old = columns.iter().cloned().zip(values.iter().cloned());
                let old = old.filter(|(column, _)| named.contains(column));
                kept.values.entry((table, id)).or_default().extend(old);
            }
        }
    }
    Ok(kept)
}

/// Rows and values of before that are neither where they were nor in quarantine, and rows that nobody wrote.
pub(crate) async fn lost(sql: &mut Sql, schema: &str, before: &Before) -> Outcome<Vec<String>> {
    let now = Before::read(sql).await?;
    let kept = kept(sql, schema).await?;
    let mut faults = kept.twice.clone();
    for (row, was) in &before.rows {
        let (table, id) = row;
        match now.rows.get(row) {
            None if kept.rows.contains(row) => {}
            None => faults.push(format!("{table} {id} is gone and not in quarantine")),
            Some(_) if kept.rows.contains(row) => {
                faults.push(format!("{table} {id} is in its table and in quarantine"));
            }
            Some(is) => {
                for (column, value) in was.iter().filter(|(column, value)| is.get(*column) != Some(*value)) {
                    let old = kept.values.get(row).and_then(|values| values.get(column));
                    if old != Some(value) {
                        faults.push(format!("{table} {id}: {column} was {value:?}, and quarantine has {old:?}"));
                    }
                }
            }
        }
    }
    let unknown = now.rows.keys().filter(|row| !before.rows.contains_key(row));
    faults.extend(unknown.map(|(table, id)| format!("{table} {id} was written by nobody")));
    Ok(faults)
}

/// What is not as it was before, definitions and rows.
pub(crate) async fn changed(sql: &mut Sql, before: &Before) -> Outcome<Vec<String>> {
    let now = Before::read(sql).await?;
    let mut faults = Vec::new();
    for (table, was) in &before.definitions {
        let is = now.definitions.get(table);
        if is != Some(was) {
            faults.push(format!("{table} was defined as {was:?}, and is {is:?}"));
        }
    }
    for (row, was) in &before.rows {
        if now.rows.get(row) != Some(was) {
            faults.push(format!("{} {} was {was:?}, and is {:?}", row.0, row.1, now.rows.get(row)));
        }
    }
    Ok(faults)
}

/// Keys and the unique constraint that are not there, not clean, or not enforced.
pub(crate) async fn unmet(sql: &mut Sql) -> Outcome<Vec<String>> {
    let mut faults = Vec::new();
    for (name, child, column, parent, rule) in KEYS {
        let found = sql
            .rows(&format!(
                "SELECT CAST(delete_rule AS CHAR), CAST(table_name AS CHAR), CAST(referenced_table_name AS CHAR) FROM \
                 information_schema.referential_constraints WHERE constraint_schema = DATABASE() AND constraint_name = '{name}'"
            ))
            .await?;
        let wanted = [rule, child, parent].map(|part| Some(part.to_owned())).to_vec();
        // NO ACTION and RESTRICT are the same to InnoDB.
        let same = found.len() == 1
            && (found[0] == wanted || (rule == "RESTRICT" && found[0][0].as_deref() == Some("NO ACTION")));
        if !same {
            faults.push(format!("{name}: asked for was {wanted:?}, found is {found:?}"));
            continue;
        }
        let orphans = format!(
            "SELECT COUNT(*) FROM `{child}` c WHERE c.`{column}` IS NOT NULL AND NOT EXISTS (SELECT 1 FROM `{parent}` p WHERE \
             p.id = c.`{column}`)"
        );
        let count = sql.number(&orphans).await?;
        if count > 0 {
            faults.push(format!("{name}: {count} rows of {child} refer to no row of {parent}"));
        }
        sql.run("START TRANSACTION").await?;
        match sql.run(&format!("UPDATE `{child}` SET `{column}` = {NOBODY} WHERE `{column}` IS NOT NULL LIMIT 1")).await
        {
            Err(refused) if refused.number == Some(1452) => {}
            other => faults.push(format!("{name}: a child could be pointed to nobody: {other:?}")),
        }
        let taken = format!("SELECT MIN(c.`{column}`) FROM `{child}` c JOIN `{parent}` p ON p.id = c.`{column}`");
        let id = sql.number(&taken).await?;
        let deleted = sql.run(&format!("DELETE FROM `{parent}` WHERE id = {id}")).await;
        match (rule, deleted) {
            ("RESTRICT", Err(refused)) if refused.number == Some(1451) => {}
            ("RESTRICT", other) => faults.push(format!("{name}: a parent could be deleted: {other:?}")),
            (_, Ok(_)) => {
                let left = sql.number(&orphans).await?;
                if left > 0 {
                    faults.push(format!("{name}: {left} children stayed when their parent was deleted"));
                }
            }
            (_, Err(refused)) => faults.push(format!("{name}: a parent could not be deleted: {}", refused.message)),
        }
        sql.run("ROLLBACK").await?;
    }
    sql.run("START TRANSACTION").await?;
    let again = "INSERT INTO auth_providers (user_id, provider) SELECT user_id, provider FROM auth_providers LIMIT 1";
    match sql.run(again).await {
        Err(refused) if refused.number == Some(1062) => {}
        other => faults.push(format!("uq_auth_providers: a duplicate was accepted: {other:?}")),
    }
    sql.run("ROLLBACK").await?;
    Ok(faults)
}
