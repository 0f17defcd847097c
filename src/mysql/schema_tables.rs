//! The base tables of a schema as a whole, and what of them keeps them from being exchanged for those of a backup: RENAME TABLE moves no
//! trigger to another schema, engines other than InnoDB do not rename as a whole or not at all, keys over the schema's border would follow
//! a table out of it, and a dump holds six digits of a FLOAT.

use sqlx::Row;

use super::catalogue::identifier;
use super::catalogue_keys::read_foreign_keys;
use super::connection::Connection;
use super::deadline::{SHORT_STATEMENT, within};
use super::error::Error;
use crate::plan::Identifier;

/// Names that a message gives.
const NAMED: usize = 3;

/// What a schema's tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemaTables {
    schema: Identifier,
    /// The base tables, by name.
    pub(crate) tables: Vec<Identifier>,
    /// Tables with their engine where that is not InnoDB.
    other_engines: Vec<String>,
    /// Triggers with their tables.
    triggers: Vec<String>,
    /// Keys with a child or a parent elsewhere.
    crossing: Vec<String>,
    /// FLOAT columns.
    lossy: Vec<String>,
}

/// Whether a schema is there.
pub(crate) async fn exists(connection: &mut Connection, schema: &Identifier) -> Result<bool, Error> {
    within(SHORT_STATEMENT, "looking for a schema", async {
        let statement = "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?";
        let found: i64 = sqlx::query(statement).bind(schema.as_str()).fetch_one(connection.raw()).await?.try_get(0)?;
        Ok(found > 0)
    })
    .await
}

/// Reads it.
///
/// # Errors
/// What the server answers.
pub(crate) async fn read(connection: &mut Connection, schema: &Identifier) -> Result<SchemaTables, Error> {
    within(SHORT_STATEMENT, format!("reading the tables of {schema}"), async {
        let statement = "SELECT CAST(TABLE_NAME AS CHAR), CAST(COALESCE(ENGINE, '') AS CHAR) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME";
        let rows = sqlx::query(statement).bind(schema.as_str()).fetch_all(connection.raw()).await?;
        let (mut tables, mut other_engines) = (Vec::new(), Vec::new());
        for row in &rows {
            let (name, engine): (_, String) = (identifier(row, 0)?, row.try_get(1)?);
            if !engine.eq_ignore_ascii_case("InnoDB") {
                other_engines.push(format!("{name} ({engine})"));
            }
            tables.push(name);
        }
        let triggers = names(
            connection,
            schema,
            "SELECT CAST(TRIGGER_NAME AS CHAR), CAST(EVENT_OBJECT_TABLE AS CHAR) FROM information_schema.TRIGGERS \
             WHERE TRIGGER_SCHEMA = ? ORDER BY TRIGGER_NAME",
        );
        let triggers = triggers.await?.into_iter().map(|(trigger, table)| format!("{trigger} on {table}")).collect();
        let lossy = names(
            connection,
            schema,
            "SELECT CAST(c.TABLE_NAME AS CHAR), CAST(c.COLUMN_NAME AS CHAR) FROM information_schema.COLUMNS c \
             JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME \
             WHERE c.TABLE_SCHEMA = ? AND c.DATA_TYPE = 'float' AND t.TABLE_TYPE = 'BASE TABLE' ORDER BY 1, 2",
        );
        let lossy = lossy.await?.into_iter().map(|(table, column)| format!("{table}.{column}")).collect();
        let keys = read_foreign_keys(connection, schema).await?;
        let crossing = keys.iter().filter(|key| key.child.schema != key.parent.schema);
        let crossing = crossing.map(|key| format!("{} from {} to {}", key.name, key.child, key.parent)).collect();
        Ok(SchemaTables { schema: schema.clone(), tables, other_engines, triggers, crossing, lossy })
    })
    .await
}

async fn names(
    connection: &mut Connection,
    schema: &Identifier,
    statement: &'static str,
) -> Result<Vec<(String, String)>, Error> {
    let rows = sqlx::query(statement).bind(schema.as_str()).fetch_all(connection.raw()).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

impl SchemaTables {
    /// Why these tables cannot be exchanged for a backup's, each with its way out.
    pub(crate) fn obstacles(&self) -> Vec<String> {
        let schema = &self.schema;
        let told = |found: &[String], what: &str, why: &str| {
            let more = found.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named = found.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            (!found.is_empty()).then(|| format!("{schema} has {what} ({named}{more}): {why}"))
        };
        let found = [
            told(
                &self.triggers,
                "triggers",
                "a table with a trigger cannot be renamed into another schema (error 1435); drop them for the time of the migration, or use \
                 another strategy",
            ),
            told(
                &self.other_engines,
                "tables of another engine than InnoDB",
                "they are not exchanged as a whole or not at all; convert them, or use another strategy",
            ),
            told(
                &self.crossing,
                "foreign keys over its border",
                "they would follow a table to where it is kept; drop them, or use another strategy",
            ),
            told(
                &self.lossy,
                "FLOAT columns",
                "a dump holds six of their digits, so the backup would come back rounded; make them DOUBLE, or use another strategy",
            ),
        ];
        found.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_stands_in_the_way_is_named_with_the_way_out() {
        let schema = Identifier::new("shop").unwrap();
        let none = SchemaTables {
            schema,
            tables: vec![],
            other_engines: vec![],
            triggers: vec![],
            crossing: vec![],
            lossy: vec![],
        };
        assert_eq!(none.obstacles(), [""; 0]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let some =
            SchemaTables { triggers: names(&["a on t", "b on t", "c on t", "d on t"]), lossy: names(&["t.x"]), ..none };
        let found = some.obstacles();
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("shop has triggers (a on t, b on t, c on t and 1 more): "), "{found:?}");
        assert!(found[1].contains("t.x") && found[1].contains("DOUBLE"), "{found:?}");
    }
}
