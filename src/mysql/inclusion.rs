//! Looks into the data for keys that nobody has declared yet: how many rows of a child have no parent, in a schema that may be in
//! production. One connection on which the server refuses to write, one query at a time, none longer than [`QUERY_LIMIT`], with as long
//! a pause after each as it took, and no transaction that stays open.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::Row;

use super::catalogue::read_catalogue;
use super::connection::{Connection, SessionLimits, Target, sql};
use super::error::{Cause, Error};
use super::orphan_query::OrphanQuery;
use super::sample::{in_time, places};
use crate::draft::discover::{Evidence, Inclusion, Reading};
use crate::plan::catalogue::{Catalogue, Column, ForeignKey, Table};
use crate::plan::identifier::{Identifier, TableName};

/// Longest time that one query may take.
pub const QUERY_LIMIT: Duration = Duration::from_secs(2);

/// How much may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Time for all reading of rows, pauses included.
    pub time: Duration,
    /// Tables of more rows than this, by the server's estimate, are sampled.
    pub exact_rows: u64,
}

/// A server that is read.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    bounds: Bounds,
    began: Instant,
    /// Rows of a hundred numbers between a key's least and greatest, by table and column.
    densities: BTreeMap<(TableName, Identifier), Option<u8>>,
    /// Whether a table has any row.
    filled: BTreeMap<TableName, bool>,
}

impl Reader {
    /// Opens the connection.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(target: &Target, bounds: Bounds) -> Result<Self, Error> {
        let mut connection = target.connect_to_read(SessionLimits::default()).await?;
        // Each query sees what is committed then, so that no old version of a row is kept for us.
        connection.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
        Ok(Self { connection, bounds, began: Instant::now(), densities: BTreeMap::new(), filled: BTreeMap::new() })
    }

    /// Reads the definitions of all tables of a schema.
    ///
    /// # Errors
    /// What the server answers.
    pub async fn schema(&mut self, schema: &Identifier) -> Result<Catalogue, Error> {
        let rows = sqlx::query(
            "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE'",
        )
        .bind(schema.as_str())
        .fetch_all(self.connection.raw())
        .await
        .map_err(Error::from)?;
        let mut tables = Vec::new();
        for row in &rows {
            tables.push(TableName::new(schema.clone(), super::catalogue::identifier(row, 0)?));
        }
        let catalogue = read_catalogue(&mut self.connection, schema, &tables).await?;
        let limit = self.connection.dialect.limit_queries(QUERY_LIMIT);
        self.connection.run(&limit).await?;
        self.began = Instant::now();
        Ok(catalogue)
    }

    /// Looks at the rows of a key's child.
    ///
    /// # Errors
    /// When the connection is gone; what the server refuses to answer becomes [`Evidence::NotRead`].
    pub async fn look(&mut self, catalogue: &Catalogue, key: &ForeignKey) -> Result<Evidence, Error> {
        if self.began.elapsed() > self.bounds.time {
            return Ok(Evidence::NotRead(format!(
                "the time for it, {} s, was used up before its turn",
                self.bounds.time.as_secs()
            )));
        }
        let (Some(child), Some(parent)) = (catalogue.table(&key.child), catalogue.table(&key.parent)) else {
            return Ok(Evidence::NotRead("one of its tables is not in the catalogue".to_owned()));
        };
        match self.read(child, parent, key).await {
            Ok(Some(found)) => Ok(Evidence::Read(found)),
            Ok(None) => Ok(Evidence::NotRead(format!("the server needed more than {} s", QUERY_LIMIT.as_secs()))),
            Err(error) if error.cause == Cause::Unreachable => Err(error),
            Err(error) => Ok(Evidence::NotRead(error.message)),
        }
    }

    async fn read(&mut self, child: &Table, parent: &Table, key: &ForeignKey) -> Result<Option<Inclusion>, Error> {
        if !self.is_filled(child).await? {
            return Ok(Some(Inclusion {
                reading: Reading::Exact,
                rows: 0,
                distinct: 0,
                orphans: 0,
                empty: 0,
                density: None,
            }));
        }
        let query = OrphanQuery::read(&mut self.connection, key).await?;
        let exact = child.estimated_rows <= self.bounds.exact_rows && parent.estimated_rows <= self.bounds.exact_rows;
        let mut found = if exact { self.exact(child, &query).await? } else { None };
        if found.is_none() {
            found = self.sampled(child, &query).await?;
        }
        let Some(mut found) = found else { return Ok(None) };
        found.density = self.density(parent, key).await?;
        Ok(Some(found))
    }

    /// Whether a table has rows: of one without, nothing else has to be asked.
    async fn is_filled(&mut self, table: &Table) -> Result<bool, Error> {
        if let Some(known) = self.filled.get(&table.name) {
            return Ok(*known);
        }
        let statement = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name.quoted());
        let row = sqlx::raw_sql(sql(statement)).fetch_one(self.connection.raw()).await.map_err(Error::from)?;
        let filled: i64 = row.try_get(0).map_err(Error::from)?;
        self.filled.insert(table.name.clone(), filled != 0);
        Ok(filled != 0)
    }

    async fn exact(&mut self, child: &Table, query: &OrphanQuery) -> Result<Option<Inclusion>, Error> {
        let values = format!(
            "SELECT CAST(COUNT(*) AS UNSIGNED), CAST(COUNT(DISTINCT {}) AS UNSIGNED), {} FROM {} AS c WHERE {}",
            columns(&query.key, "c"),
            empty(child, &query.key, "c", "TRUE"),
            query.key.child.quoted(),
            query.not_null("c"),
        );
        let Some((rows, distinct, empty)) = self.three(values).await? else { return Ok(None) };
        let counted = self.timed(query.count_statement()).await?;
        let Some(row) = counted else { return Ok(None) };
        let orphans: u64 = row.try_get(0).map_err(Error::from)?;
        let empty = empty.min(orphans);
        Ok(Some(Inclusion { reading: Reading::Exact, rows, distinct, orphans, empty, density: None }))
    }

    async fn sampled(&mut self, child: &Table, query: &OrphanQuery) -> Result<Option<Inclusion>, Error> {
        let Some(sample) = places(&mut self.connection, child, &query.key.columns).await? else { return Ok(None) };
        let missing =
            format!("p.{} IS NULL", query.key.parent_columns.first().map(Identifier::quoted).unwrap_or_default());
        let statement = format!(
            "SELECT CAST(COUNT(*) AS UNSIGNED), CAST(COUNT(DISTINCT {}) AS UNSIGNED), {}, CAST(COALESCE(SUM({missing}), 0) AS UNSIGNED) \
             FROM ({sample}) AS c LEFT JOIN {} AS p ON {} WHERE {}",
            columns(&query.key, "c"),
            empty(child, &query.key, "c", &missing),
            query.key.parent.quoted(),
            query.matches("c", "p"),
            query.not_null("c"),
        );
        let Some(row) = self.timed(statement).await? else { return Ok(None) };
        let number = |place: usize| row.try_get::<u64, _>(place).map_err(Error::from);
        Ok(Some(Inclusion {
            reading: Reading::Sampled,
            rows: number(0)?,
            distinct: number(1)?,
            empty: number(2)?,
            orphans: number(3)?,
            density: None,
        }))
    }

    async fn density(&mut self, parent: &Table, key: &ForeignKey) -> Result<Option<u8>, Error> {
        let [column] = key.parent_columns.as_slice() else { return Ok(None) };
        let place = (parent.name.clone(), column.clone());
        if let Some(known) = self.densities.get(&place) {
            return Ok(*known);
        }
        let number = parent.column(column).is_some_and(|column| column.data_type.ends_with("int"));
        let mut density = None;
        if number {
            let name = column.quoted();
            let span = format!(
                "SELECT CAST(COALESCE(CAST(MAX({name}) AS DECIMAL(30)) - MIN({name}) + 1, 0) AS CHAR) FROM {}",
                parent.name.quoted()
            );
            if let Some(row) = self.timed(span).await? {
                let text: String = row.try_get(0).map_err(Error::from)?;
                let span = text.split('.').next().and_then(|text| text.parse::<u128>().ok()).filter(|span| *span > 0);
                let share = span.map(|span| u128::from(parent.estimated_rows) * 100 / span);
                density = Some(share.map_or(100, |share| u8::try_from(share.min(100)).unwrap_or(100)));
            }
        }
        self.densities.insert(place, density);
        Ok(density)
    }

    async fn three(&mut self, statement: String) -> Result<Option<(u64, u64, u64)>, Error> {
        let Some(row) = self.timed(statement).await? else { return Ok(None) };
        let number = |place: usize| row.try_get::<u64, _>(place).map_err(Error::from);
        Ok(Some((number(0)?, number(1)?, number(2)?)))
    }

    /// One query, and a pause as long as it took: so at most half of one processor of the server is ours.
    async fn timed(&mut self, statement: String) -> Result<Option<sqlx::mysql::MySqlRow>, Error> {
        let began = Instant::now();
        let answer = in_time(sqlx::raw_sql(sql(statement)).fetch_one(self.connection.raw()).await);
        tokio::time::sleep(began.elapsed().min(QUERY_LIMIT)).await;
        answer
    }

    /// How long it has read rows.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Says goodbye to the server.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn close(self) -> Result<(), Error> {
        self.connection.close().await
    }
}

fn columns(key: &ForeignKey, alias: &str) -> String {
    key.columns.iter().map(|column| format!("{alias}.{}", column.quoted())).collect::<Vec<_>>().join(", ")
}

/// Counts the rows that hold 0 or the empty text and are `besides`.
fn empty(child: &Table, key: &ForeignKey, alias: &str, besides: &str) -> String {
    let [name] = key.columns.as_slice() else { return "CAST(0 AS UNSIGNED)".to_owned() };
    let nothing = |column: &Column| match column.data_type.as_str() {
        data_type if data_type.ends_with("int") || data_type == "decimal" => Some("0"),
        "char" | "varchar" => Some("''"),
        _ => None,
    };
    match child.column(name).and_then(nothing) {
        Some(nothing) => {
            format!("CAST(COALESCE(SUM({alias}.{} = {nothing} AND {besides}), 0) AS UNSIGNED)", name.quoted())
        }
        None => "CAST(0 AS UNSIGNED)".to_owned(),
    }
}
