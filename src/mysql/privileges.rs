//! Which privileges the account has, read from SHOW GRANTS (active roles included), and which of those that a migration needs are
//! missing: better said before the plan than found in the middle of a change.

use std::collections::BTreeSet;

use sqlx::Row;

use super::connection::Connection;
use super::error::Error;
use super::work::JournalLocation;
use crate::plan::identifier::{Identifier, TableName};

/// On every table that is cleaned up or altered (CREATE, INSERT and DROP are needed by ALTER TABLE with ALGORITHM=COPY).
const ON_TABLES: [&str; 9] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES"];
/// On a parent in another schema.
const ON_FAR_PARENTS: [&str; 2] = ["SELECT", "REFERENCES"];
/// On the schema of journal and quarantine.
const ON_JOURNAL: [&str; 7] = ["CREATE", "DROP", "ALTER", "SELECT", "INSERT", "UPDATE", "DELETE"];

/// On the schemas that a backup is restored into: to fill them, to dump them again, and to move their tables.
const ON_RESTORED: [&str; 9] =
    ["SELECT", "INSERT", "CREATE", "DROP", "ALTER", "REFERENCES", "SHOW VIEW", "TRIGGER", "EVENT"];
/// On those that keep the tables which were there.
const ON_KEPT: [&str; 5] = ["SELECT", "INSERT", "CREATE", "DROP", "ALTER"];

/// One line of SHOW GRANTS.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// A partial revoke takes away what a global grant gave.
    revoked: bool,
    privileges: BTreeSet<String>,
    /// A pattern as in LIKE; `*` stands for all schemas.
    schema: String,
    /// `*` stands for all tables.
    table: String,
}

/// Either lets an account end the sessions of others.
const ENDING_OTHERS: [&str; 2] = ["CONNECTION_ADMIN", "SUPER"];

/// The privileges that a migration of these tables needs and the account lacks, each with the statement that grants it.
/// `ends_others`: whether it ends other accounts' sessions.
///
/// # Errors
/// What the server answers.
pub(crate) async fn missing(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[TableName],
    journal: &JournalLocation,
    ends_others: bool,
) -> Result<Vec<String>, Error> {
    let grants = grants(connection).await?;
    let journal = match journal {
        JournalLocation::Schema(schema) => schema,
        JournalLocation::Prefix(_) => schema,
    };
    let mut lacks = lacking(&grants, connection.dialect.watching_privileges(), schema, tables, journal);
    lacks.extend(ends_others.then(|| lacking_to_end_others(&grants)).flatten());
    Ok(lacks)
}

/// The privileges that putting a backup back needs beside the journal's schema and the account lacks.
///
/// # Errors
/// What the server answers.
pub(crate) async fn missing_to_put_back(
    connection: &mut Connection,
    journal: &JournalLocation,
) -> Result<Vec<String>, Error> {
    // Without a schema of the journal's own planning refuses it.
    let JournalLocation::Schema(journal) = journal else { return Ok(Vec::new()) };
    Ok(lacking_to_put_back(&grants(connection).await?, journal))
}

fn lacking_to_put_back(grants: &[Grant], journal: &Identifier) -> Vec<String> {
    let mut missing = Vec::new();
    for (what, names) in [("restored", ON_RESTORED.as_slice()), ("kept", ON_KEPT.as_slice())] {
        // Whatever the digits are that end its name.
        let schema = format!("{journal}_{what}_0123456789ab");
        let absent: Vec<_> = names.iter().copied().filter(|name| !has(grants, name, &schema, "*")).collect();
        if !absent.is_empty() {
            let pattern = format!("{journal}_{what}_").replace('\\', "\\\\").replace('_', "\\_").replace('`', "``");
            missing.push(format!("GRANT {} ON `{pattern}%`.*, for spec.rollback.onFailure", absent.join(", ")));
        }
    }
    missing
}

async fn grants(connection: &mut Connection) -> Result<Vec<Grant>, Error> {
    let rows = sqlx::raw_sql("SHOW GRANTS").fetch_all(connection.raw()).await?;
    let mut grants = Vec::new();
    for row in &rows {
        let line: String = row.try_get(0)?;
        grants.extend(parse(&line));
    }
    Ok(grants)
}

/// `watching` is what seeing other sessions takes: privileges on the whole server, and a schema to read.
fn lacking(
    grants: &[Grant],
    (global, watched): (&[&str], Option<&str>),
    schema: &Identifier,
    tables: &[TableName],
    journal: &Identifier,
) -> Vec<String> {
    let mut missing = Vec::new();
    let mut note = |names: &[&str], schema: &str, table: &str| {
        let absent: Vec<_> = names.iter().copied().filter(|name| !has(grants, name, schema, table)).collect();
        if !absent.is_empty() {
            let quoted =
                |name: &str| if name == "*" { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) };
            missing.push(format!("GRANT {} ON {}.{}", absent.join(", "), quoted(schema), quoted(table)));
        }
    };
    note(global, "*", "*");
    if let Some(schema) = watched {
        note(&["SELECT"], schema, "*");
    }
    if tables.is_empty() {
        note(&ON_TABLES, schema.as_str(), "*");
    } else if ON_TABLES.iter().any(|name| !has(grants, name, schema.as_str(), "*")) {
        // Not on the whole schema: then on each table.
        for table in tables.iter().filter(|table| table.schema == *schema) {
            note(&ON_TABLES, table.schema.as_str(), table.table.as_str());
        }
    }
    for table in tables.iter().filter(|table| table.schema != *schema) {
        note(&ON_FAR_PARENTS, table.schema.as_str(), table.table.as_str());
    }
    note(&ON_JOURNAL, journal.as_str(), "*");
    missing
}

/// The privileges that only reading these tables, and what sessions do, needs and the account lacks.
///
/// # Errors
/// What the server answers.
pub(crate) async fn missing_to_read(
    connection: &mut Connection,
    schema: &Identifier,
    tables: &[TableName],
) -> Result<Vec<String>, Error> {
    Ok(lacking_to_read(&grants(connection).await?, schema, tables))
}

fn lacking_to_read(grants: &[Grant], schema: &Identifier, tables: &[TableName]) -> Vec<String> {
    let reads = |schema: &str, table: &str| has(grants, "SELECT", schema, table);
    let mut missing = Vec::new();
    if !reads("performance_schema", "*") {
        missing.push("GRANT SELECT ON `performance_schema`.*".to_owned());
    }
    if tables.is_empty() && !reads(schema.as_str(), "*") {
        missing.push(format!("GRANT SELECT ON {}.*", schema.quoted()));
    }
    for table in tables.iter().filter(|table| !reads(table.schema.as_str(), table.table.as_str())) {
        missing.push(format!("GRANT SELECT ON {}", table.quoted()));
    }
    missing
}

fn lacking_to_end_others(grants: &[Grant]) -> Option<String> {
    let none = ENDING_OTHERS.iter().all(|name| !has(grants, name, "*", "*"));
    none.then(|| format!("GRANT {} ON *.*, for spec.execution.killBlockers", ENDING_OTHERS[0]))
}

fn has(grants: &[Grant], privilege: &str, schema: &str, table: &str) -> bool {
    let holds = |grant: &&Grant| grant.privileges.contains(privilege) || grant.privileges.contains("ALL PRIVILEGES");
    let covers = |grant: &&Grant| {
        (grant.schema == "*" || (schema != "*" && like(&grant.schema, schema)))
            && (grant.table == "*" || grant.table == table)
    };
    let exact = |grant: &&Grant| grant.revoked && grant.schema == schema;
    let revoked = grants.iter().filter(exact).any(|grant| holds(&grant));
    // A partial revoke takes from the global grant only; one on the schema itself stays.
    grants
        .iter()
        .filter(|grant| !grant.revoked)
        .filter(holds)
        .filter(covers)
        .any(|grant| !(revoked && grant.schema == "*"))
}

/// Reads `GRANT SELECT, INSERT ON `shop`.* TO ...`; lines that grant roles are none.
fn parse(line: &str) -> Option<Grant> {
    let (revoked, rest) = match (line.strip_prefix("GRANT "), line.strip_prefix("REVOKE ")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return None,
    };
    let (names, place) = rest.split_once(" ON ")?;
    // `GRANT PROXY ON ...` names an account, `GRANT EXECUTE ON PROCEDURE ...` a routine.
    let (schema, place) = name(place)?;
    let (table, _) = name(place.strip_prefix('.')?)?;
    let mut privileges = BTreeSet::new();
    let mut depth = 0_u32;
    let mut current = String::new();
    for character in names.chars().chain([',']) {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                privileges.insert(std::mem::take(&mut current).trim().to_uppercase());
            }
            _ if depth == 0 => current.push(character),
            // A privilege on some columns is not one on the table.
            _ => current = "(columns)".to_owned(),
        }
    }
    Some(Grant { revoked, privileges, schema, table })
}

fn name(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some(("*".to_owned(), rest));
    }
    let rest = text.strip_prefix('`')?;
    let mut found = String::new();
    let mut characters = rest.char_indices().peekable();
    while let Some((position, character)) = characters.next() {
        if character != '`' {
            found.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == '`') {
            characters.next();
            found.push('`');
        } else {
            return Some((found, &rest[position + 1..]));
        }
    }
    None
}

/// LIKE with `%`, `_` and `\`, as in the names of schemas that are granted on.
fn like(pattern: &str, text: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = characters.as_str();
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| like(rest, &text[at..]))
        }
        Some(wanted) => {
            let (wanted, any) = match wanted {
                '\\' => (characters.next().unwrap_or('\\'), false),
                '_' => ('_', true),
                other => (other, false),
            };
            let mut own = text.chars();
            own.next().is_some_and(|found| any || found == wanted) && like(characters.as_str(), own.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id(text: &str) -> Identifier {
        Identifier::new(text).unwrap()
    }

    fn lacks(lines: &[&str]) -> Vec<String> {
        let grants: Vec<_> = lines.iter().filter_map(|line| parse(line)).collect();
        let watching = (["PROCESS", "XA_RECOVER_ADMIN"].as_slice(), Some("performance_schema"));
        lacking(&grants, watching, &id("shop"), &[TableName::new(id("shop"), id("users"))], &id("holdfast"))
    }

    const GLOBALS: &str = "GRANT PROCESS, XA_RECOVER_ADMIN ON *.* TO `m`@`%`";
    const WATCH: &str = "GRANT SELECT ON `performance_schema`.* TO `m`@`%`";
    const SHOP: &str =
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER ON `shop`.* TO `m`@`%`";
    const JOURNAL: &str = "GRANT ALL PRIVILEGES ON `holdfast`.* TO `m`@`%`";

    #[test]
    fn enough_is_enough() {
        assert_eq!(lacks(&[GLOBALS, WATCH, SHOP, JOURNAL]), [""; 0]);
        assert_eq!(lacks(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"]), [""; 0]);
        let on_table = SHOP.replace("`shop`.*", "`shop`.`users`");
        assert_eq!(lacks(&[GLOBALS, WATCH, &on_table, JOURNAL]), [""; 0]);
        let pattern = SHOP.replace("`shop`", "`sh\\op%`").replace("\\o", "o");
        assert_eq!(lacks(&[GLOBALS, WATCH, &pattern, JOURNAL]), [""; 0]);
    }

    #[test]
    fn what_is_missing_is_named_as_the_statement_that_grants_it() {
        assert_eq!(lacks(&[WATCH, SHOP, JOURNAL]), ["GRANT PROCESS, XA_RECOVER_ADMIN ON *.*"]);
        assert_eq!(
            lacks(&[GLOBALS, WATCH, &SHOP.replace(", REFERENCES", ""), JOURNAL]),
            ["GRANT REFERENCES ON `shop`.`users`"]
        );
        assert_eq!(lacks(&[GLOBALS, SHOP, JOURNAL]), ["GRANT SELECT ON `performance_schema`.*"]);
        assert_eq!(
            lacks(&[GLOBALS, WATCH, &SHOP.replace("ALTER", "ALTER (`id`)"), JOURNAL]),
            ["GRANT ALTER ON `shop`.`users`"]
        );
    }

    #[test]
    fn a_replica_needs_to_be_read_and_nothing_more() {
        let tables = [TableName::new(id("shop"), id("users")), TableName::new(id("far"), id("counties"))];
        let lacks = |lines: &[&str]| {
            let grants: Vec<_> = lines.iter().filter_map(|line| parse(line)).collect();
            lacking_to_read(&grants, &id("shop"), &tables)
        };
        assert_eq!(lacks(&[WATCH, SHOP]), ["GRANT SELECT ON `far`.`counties`"]);
        assert_eq!(
            lacks(&["GRANT SELECT ON `shop`.* TO `m`@`%`", "GRANT SELECT ON `far`.* TO `m`@`%`"]),
            ["GRANT SELECT ON `performance_schema`.*"]
        );
        assert_eq!(lacks(&["GRANT SELECT ON *.* TO `m`@`%`"]), [""; 0]);
    }

    #[test]
    fn ending_other_sessions_takes_one_of_two_privileges() {
        let lacks = |lines: &[&str]| {
            let grants: Vec<_> = lines.iter().filter_map(|line| parse(line)).collect();
            lacking_to_end_others(&grants)
        };
        assert!(lacks(&[GLOBALS]).is_some_and(|text| text.contains("GRANT CONNECTION_ADMIN ON *.*")));
        assert_eq!(lacks(&[GLOBALS, "GRANT CONNECTION_ADMIN ON *.* TO `m`@`%`"]), None);
        assert_eq!(lacks(&["GRANT SUPER ON *.* TO `m`@`%`"]), None);
    }

    #[test]
    fn putting_a_backup_back_takes_two_more_schemas() {
        let lacks = |lines: &[&str]| {
            let grants: Vec<_> = lines.iter().filter_map(|line| parse(line)).collect();
            lacking_to_put_back(&grants, &id("holdfast"))
        };
        let restored = "GRANT SELECT, INSERT, CREATE, DROP, REFERENCES, ALTER, SHOW VIEW, EVENT, TRIGGER ON `holdfast\\_restored\\_%`.* TO `m`@`%`";
        let kept = "GRANT SELECT, INSERT, CREATE, DROP, ALTER ON `holdfast\\_kept\\_%`.* TO `m`@`%`";
        assert_eq!(lacks(&[restored, kept]), [""; 0]);
        assert_eq!(lacks(&["GRANT ALL PRIVILEGES ON `holdfast%`.* TO `m`@`%`"]), [""; 0]);
        assert_eq!(
            lacks(&[JOURNAL, restored]),
            ["GRANT SELECT, INSERT, CREATE, DROP, ALTER ON `holdfast\\_kept\\_%`.*, for spec.rollback.onFailure"]
        );
    }

    #[test]
    fn a_partial_revoke_counts() {
        let all = "GRANT ALL PRIVILEGES ON *.* TO `m`@`%`";
        assert_eq!(lacks(&[all, "REVOKE INSERT ON `holdfast`.* FROM `m`@`%`"]), ["GRANT INSERT ON `holdfast`.*"]);
    }
}
