//! The application's insertions and changes of single rows.

use super::super::relations::VOLATILE;
use super::ledger::{RowKey, Values, key_columns};
use super::session::Trouble;
use super::shapes::{Shape, Source, shape_of};
use super::worker::{Effect, Worker};

/// Distinct partners that are tried for a bookmark before it is left alone.
const TRIES: usize = 10;

type Given<'a> = &'a [(&'static str, u64)];

impl Worker {
    /// Inserts one row of this shape, where this connection has the parents for it; else signs a user up, who is one.
    pub(crate) async fn insert_one(&mut self, shape: &'static Shape) -> Result<Vec<Effect>, Trouble> {
        match self.values(shape, &[]) {
            Some(values) => {
                let row = self.insert(shape, &values).await?;
                Ok(vec![Effect::Inserted(row, values)])
            }
            None => self.sign_up().await,
        }
    }

    /// A user with an authentication provider and preferences, in one transaction.
    pub(crate) async fn sign_up(&mut self) -> Result<Vec<Effect>, Trouble> {
        self.together(&[("users", &[]), ("user_auth_providers", &["user_id"]), ("user_preferences", &["user_id"])])
            .await
    }

    /// A question with its results, in one transaction.
    pub(crate) async fn ask(&mut self) -> Result<Vec<Effect>, Trouble> {
        self.together(&[("queries", &[]), ("query_results", &["query_id"]), ("query_results", &["query_id"])]).await
    }

    /// A protocol with a version and its chunks, in one transaction.
    pub(crate) async fn publish(&mut self) -> Result<Vec<Effect>, Trouble> {
        let chunk: (&'static str, &'static [&'static str]) = ("protocol_chunks", &["protocol_id"]);
        self.together(&[("protocols", &[]), ("protocol_versions", &["protocol_id"]), chunk, chunk]).await
    }

    /// Inserts several rows in one transaction; the columns named take the first one's id.
    async fn together(&mut self, rows: &[(&'static str, &'static [&'static str])]) -> Result<Vec<Effect>, Trouble> {
        self.session.transaction("START TRANSACTION").await?;
        let mut effects = Vec::new();
        let mut first = 0;
        for (table, columns) in rows {
            let shape = shape_of(table);
            let given: Vec<(&'static str, u64)> = columns.iter().map(|column| (*column, first)).collect();
            let Some(values) = self.values(shape, &given) else { continue };
            let row = self.insert(shape, &values).await?;
            if first == 0 {
                first = row.key.0;
            }
            effects.push(Effect::Inserted(row, values));
        }
        self.session.transaction("COMMIT").await?;
        Ok(effects)
    }

    async fn insert(&mut self, shape: &'static Shape, values: &Values) -> Result<RowKey, Trouble> {
        let columns: Vec<&str> = values.keys().copied().collect();
        let statement = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            shape.table,
            columns.join(", "),
            vec!["?"; columns.len()].join(", ")
        );
        let arguments: Vec<Option<String>> = values.values().cloned().collect();
        let done = self.session.write(shape.table, &statement, &arguments).await?;
        let number = |column: &str| values.get(column).and_then(|value| value.as_deref()?.parse().ok()).unwrap_or(0);
        let key = match shape.table {
            "user_preferences" => (number("user_id"), 0),
            "protocol_versions" => (number("protocol_id"), number("version")),
            _ => (done.id, 0),
        };
        Ok(RowKey { table: shape.table, key })
    }

    /// Values for a row, or `None` where a parent is wanted and this connection has none.
    fn values(&mut self, shape: &'static Shape, given: Given<'_>) -> Option<Values> {
        let mut values = Values::new();
        for (column, source) in shape.columns {
            let value = match given.iter().find(|(name, _)| name == column) {
                Some((_, id)) => Some(id.to_string()),
                None => self.value(*source)?,
            };
            values.insert(column, value);
        }
        if shape.table == "bookmarks" {
            self.distinct_bookmark(&mut values)?;
        }
        Some(values)
    }

    /// The value of one column: `None` where it cannot be had.
    fn value(&mut self, source: Source) -> Option<Option<String>> {
        let text = match source {
            Source::Own(table) => self.own(table)?.to_string(),
            Source::MaybeOwn(table) => match self.own(table) {
                Some(id) if self.rng.u8(0..10) < 7 => id.to_string(),
                _ => return Some(None),
            },
            Source::Generated(table) => {
                let ids = self.seeds.of(table);
                ids[self.rng.usize(0..ids.len())].to_string()
            }
            Source::AgencyName => self.seeds.agency_names[self.rng.usize(0..self.seeds.agency_names.len())].clone(),
            Source::Unique(prefix) => self.unique(prefix),
            Source::Amount(bound) => format!("{}.{:02}", self.rng.u64(0..bound), self.rng.u64(0..100)),
            Source::Number(last) => self.rng.u64(1..=last).to_string(),
            Source::Always(text) => text.to_owned(),
        };
        Some(Some(text))
    }

    fn own(&mut self, table: &'static str) -> Option<u64> {
        let mut rows = self.ledger.of(table);
        // Threads stay shallow: only a comment that answers nothing is answered.
        rows.retain(|row| self.ledger.value(*row, "parent_id").is_none());
        if rows.is_empty() { None } else { Some(rows[self.rng.usize(0..rows.len())].key.0) }
    }

    /// Another protocol where the user has a bookmark of this one: the application shows bookmarked protocols as such.
    fn distinct_bookmark(&mut self, values: &mut Values) -> Option<()> {
        let user = values["user_id"].clone()?;
        let rows = self.ledger.of("bookmarks");
        let taken: Vec<String> = rows
            .into_iter()
            .filter(|row| self.ledger.value(*row, "user_id") == Some(user.as_str()))
            .filter_map(|row| self.ledger.value(row, "protocol_id").map(str::to_owned))
            .collect();
        for _ in 0..TRIES {
            let free = values["protocol_id"].as_ref().is_some_and(|protocol| !taken.contains(protocol));
            if free {
                return Some(());
            }
            let another = self.value(Source::Generated("protocols"))?;
            values.insert("protocol_id", another);
        }
        None
    }

    /// Another text in an own row.
    pub(crate) async fn edit(&mut self) -> Result<Vec<Effect>, Trouble> {
        let Some(row) = self.ledger.any(&mut self.rng) else { return self.sign_up().await };
        let Some(column) = shape_of(row.table).editable else { return self.browse().await };
        let text = self.unique("e-");
        self.update(row, column, Some(text)).await
    }

    /// A bookmark moves to another folder, or out of all.
    pub(crate) async fn refile(&mut self) -> Result<Vec<Effect>, Trouble> {
        let bookmarks = self.ledger.of("bookmarks");
        if bookmarks.is_empty() {
            return self.sign_up().await;
        }
        let row = bookmarks[self.rng.usize(0..bookmarks.len())];
        let folder = self.value(Source::MaybeOwn("bookmark_folders")).flatten();
        self.update(row, "folder_id", folder).await
    }

    async fn update(
        &mut self,
        row: RowKey,
        column: &'static str,
        value: Option<String>,
    ) -> Result<Vec<Effect>, Trouble> {
        self.in_flight.insert(row);
        let keys: Vec<String> = key_columns(row.table).iter().map(|key| format!("{key} = ?")).collect();
        let statement = format!("UPDATE {} SET {column} = ? WHERE {}", row.table, keys.join(" AND "));
        let mut values = vec![value.clone(), Some(row.key.0.to_string()), Some(row.key.1.to_string())];
        values.truncate(1 + keys.len());
        let done = self.session.write(row.table, &statement, &values).await?;
        expect(done.rows, 1, || format!("update of {row:?}"))?;
        Ok(vec![Effect::Updated(row, column, value)])
    }

    /// A column of a generated row that the application keeps up to date; `updated_at` is left alone, as such columns are not edits.
    pub(crate) async fn touch(&mut self) -> Result<Vec<Effect>, Trouble> {
        let (table, column) = VOLATILE[self.rng.usize(0..VOLATILE.len())];
        let keep = if ["users", "protocols"].contains(&table) { ", updated_at = updated_at" } else { "" };
        let seeds = self.seeds.clone();
        let ids: Vec<u64> = seeds.of(table).iter().copied().skip(self.number.0).step_by(self.number.1).collect();
        if ids.is_empty() {
            return self.browse().await;
        }
        let row = RowKey::new(table, ids[self.rng.usize(0..ids.len())]);
        let value = if column.ends_with("_at") {
            format!(
                "2026-07-08 {:02}:{:02}:{:02}.{:03}",
                self.rng.u32(4..24),
                self.rng.u32(0..60),
                self.rng.u32(0..60),
                self.rng.u32(0..1000)
            )
        } else {
            self.rng.u32(0..1_000_000).to_string()
        };
        self.in_flight.insert(row);
        let statement = format!("UPDATE {table} SET {column} = ?{keep} WHERE id = ?");
        let done = self.session.write(table, &statement, &[Some(value.clone()), Some(row.key.0.to_string())]).await?;
        expect(done.rows, 1, || format!("update of {row:?}"))?;
        Ok(vec![Effect::Touched(row, column, value)])
    }
}

/// The condition that finds this row.
pub(crate) fn condition(row: RowKey) -> String {
    match key_columns(row.table) {
        [column] => format!("{column} = {}", row.key.0),
        columns => format!("{} = {} AND {} = {}", columns[0], row.key.0, columns[1], row.key.1),
    }
}

/// Fails where a statement found fewer rows than must be there.
pub(crate) fn expect(found: u64, wanted: u64, what: impl FnOnce() -> String) -> Result<(), Trouble> {
    if found == wanted {
        Ok(())
    } else {
        Err(Trouble::Missing(format!("{}: {found} rows instead of {wanted}", what())))
    }
}
