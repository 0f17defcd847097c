//! The application's deletions, queries, and the violations that it provokes on purpose.
//!
//! Without the keys the application deletes the children itself. Once all the keys that it needs are in, half of the time it
//! leaves them to the keys. Keys may be dropped again at any moment, and a deletion that relied on one would leave orphans; so it
//! first reads the children, which holds their tables' definitions until the transaction ends, and then looks for the keys again.

use std::collections::BTreeSet;

use sqlx::Row;

use super::super::relations::{self, OnDelete, Relation};
use super::inserts::{condition, expect};
use super::ledger::{Loss, RowKey, order, relations_to};
use super::session::{Trouble, lock};
use super::worker::{Effect, Worker};

fn refers_to_itself(table: &str) -> bool {
    relations_to(table).any(|relation| relation.child == table)
}

/// A statement that a key must refuse.
struct Violation {
    key: &'static str,
    table: &'static str,
    statement: String,
    error: u16,
}

impl Worker {
    /// Deletes an own row of this table, or of any, with what depends on it.
    pub(crate) async fn delete(&mut self, table: Option<&'static str>) -> Result<Vec<Effect>, Trouble> {
        let candidates = table.map(|table| self.ledger.of(table));
        let chosen = match &candidates {
            Some(rows) if rows.is_empty() => None,
            Some(rows) => Some(rows[self.rng.usize(0..rows.len())]),
            None => self.ledger.any(&mut self.rng),
        };
        let Some(row) = chosen else { return self.browse().await };
        let loss = self.ledger.loss(row);
        self.in_flight = loss.gone.iter().copied().chain(loss.nulled.iter().map(|(row, _)| *row)).collect();
        if loss.gone.len() == 1 && loss.nulled.is_empty() {
            self.delete_rows(&loss.gone).await?;
            return Ok(vec![Effect::Deleted(loss)]);
        }
        let tables: BTreeSet<&'static str> = loss.gone.iter().map(|row| row.table).collect();
        let needed: Vec<&'static Relation> = tables.iter().flat_map(|table| relations_to(table)).collect();
        let keys_are_in = self.has_keys(needed.iter().map(|relation| relation.name));
        self.session.transaction("START TRANSACTION").await?;
        let by_keys = keys_are_in && !self.retrying && self.rng.bool();
        if !(by_keys && self.delete_by_keys(row, &loss, &needed).await?) {
            if by_keys {
                // Looking for the keys has used the children's tables; begin anew, with the children first.
                self.session.transaction("ROLLBACK").await?;
                self.session.transaction("START TRANSACTION").await?;
            }
            self.delete_explicitly(&loss).await?;
        }
        self.session.transaction("COMMIT").await?;
        Ok(vec![Effect::Deleted(loss)])
    }

    /// Changes and deletes the children, then the row, as without keys; always children before parents, so that two transactions
    /// (or one and a change of a table's definition, which goes the same way) rarely wait for each other.
    async fn delete_explicitly(&mut self, loss: &Loss) -> Result<(), Trouble> {
        let mut nulled = loss.nulled.iter().peekable();
        for same_table in loss.gone.chunk_by(|one, other| one.table == other.table) {
            let place = order(same_table[0].table);
            while let Some((row, columns)) = nulled.next_if(|(row, _)| order(row.table) <= place) {
                let nulls: Vec<String> = columns.iter().map(|column| format!("{column} = NULL")).collect();
                let statement = format!("UPDATE {} SET {} WHERE {}", row.table, nulls.join(", "), condition(*row));
                let done = self.session.write(row.table, &statement, &[]).await?;
                expect(done.rows, 1, || format!("update of {row:?}"))?;
            }
            self.delete_rows(same_table).await?;
        }
        Ok(())
    }

    /// Deletes these rows in this order, those of one table together; of a table that refers to itself one by one, for there a
    /// key may take the second row along with the first.
    async fn delete_rows(&mut self, rows: &[RowKey]) -> Result<(), Trouble> {
        for same_table in rows.chunk_by(|one, other| one.table == other.table && !refers_to_itself(one.table)) {
            let table = same_table[0].table;
            let conditions: Vec<String> = same_table.iter().map(|row| condition(*row)).collect();
            let done = self
                .session
                .write(table, &format!("DELETE FROM {table} WHERE {}", conditions.join(" OR ")), &[])
                .await?;
            expect(done.rows, same_table.len() as u64, || format!("deletion of {same_table:?}"))?;
        }
        Ok(())
    }

    /// Leaves the children to the keys; `false` where a key is gone again and nothing was done.
    async fn delete_by_keys(
        &mut self,
        row: RowKey,
        loss: &Loss,
        needed: &[&'static Relation],
    ) -> Result<bool, Trouble> {
        let children: BTreeSet<&'static str> = needed.iter().map(|relation| relation.child).collect();
        let counts: Vec<String> =
            children.iter().map(|table| format!("(SELECT COUNT(*) FROM {table} WHERE 1 = 0)")).collect();
        self.session.read(row.table, &format!("SELECT {}", counts.join(" + "))).await?;
        if !self.keys_are_there(needed.iter().map(|relation| relation.name)).await? {
            return Ok(false);
        }
        // What a Restrict key protects is the application's to delete, with all that hangs on it.
        self.delete_rows(&loss.restricting).await?;
        if !loss.restricting.contains(&row) {
            self.delete_rows(&[row]).await?;
        }
        lock(&self.shared).counts().cascades_used += 1;
        Ok(true)
    }

    async fn keys_are_there(&mut self, names: impl Iterator<Item = &'static str>) -> Result<bool, Trouble> {
        let names: BTreeSet<String> = names.map(|name| format!("'{name}'")).collect();
        let wanted = names.len();
        let query = format!(
            "SELECT COUNT(*) FROM information_schema.table_constraints \
             WHERE constraint_schema = DATABASE() AND constraint_type = 'FOREIGN KEY' AND constraint_name IN ({})",
            names.into_iter().collect::<Vec<_>>().join(", ")
        );
        let rows = self.session.read("information_schema", &query).await?;
        let found: i64 =
            rows.first().map_or(Ok(0), |row| row.try_get(0)).map_err(|error| Trouble::Connection(error.to_string()))?;
        Ok(usize::try_from(found).is_ok_and(|found| found == wanted))
    }

    fn violation(&mut self) -> Violation {
        let mut pick = |table: &str| {
            let ids = self.seeds.of(table);
            ids[self.rng.usize(0..ids.len())]
        };
        let (protocol, subscription, plan) = (pick("protocols"), pick("subscriptions"), pick("plans"));
        // Ids that no row ever has: beyond every counter.
        let nobody = 4_000_000_000_000_u64;
        match self.rng.u8(0..5) {
            0 => Violation {
                key: "fk_bookmarks_user",
                table: "bookmarks",
                statement: format!("INSERT INTO bookmarks (user_id, protocol_id) VALUES ({nobody}, {protocol})"),
                error: 1452,
            },
            1 => Violation {
                key: "fk_query_results_query",
                table: "query_results",
                statement: format!("INSERT INTO query_results (query_id) VALUES ({nobody})"),
                error: 1452,
            },
            2 => Violation {
                key: "fk_protocol_chunks_version",
                table: "protocol_chunks",
                statement: format!(
                    "INSERT INTO protocol_chunks (protocol_id, version, content) VALUES ({protocol}, 999, '')"
                ),
                error: 1452,
            },
            3 => Violation {
                key: "fk_invoices_subscription",
                table: "subscriptions",
                statement: format!("DELETE FROM subscriptions WHERE id = {subscription}"),
                error: 1451,
            },
            _ => Violation {
                key: "fk_subscriptions_plan",
                table: "plans",
                statement: format!("DELETE FROM plans WHERE id = {plan}"),
                error: 1451,
            },
        }
    }

    /// Once a key is in: a statement that it must refuse, in a transaction that is rolled back whatever happens.
    pub(crate) async fn provoke(&mut self) -> Result<Vec<Effect>, Trouble> {
        let violation = self.violation();
        if !self.has_keys([violation.key].into_iter()) {
            return self.browse().await;
        }
        let Some(relation) = relations::all().find(|relation| relation.name == violation.key) else {
            return self.browse().await;
        };
        debug_assert!(violation.error == 1452 || relation.on_delete == OnDelete::Restrict);
        self.session.transaction("START TRANSACTION").await?;
        self.session.read(relation.child, &format!("SELECT COUNT(*) FROM {} WHERE 1 = 0", relation.child)).await?;
        if self.keys_are_there([violation.key].into_iter()).await? {
            match self.session.write(violation.table, &violation.statement, &[]).await {
                Err(Trouble::Server(code)) if code == violation.error => {
                    lock(&self.shared).counts().refused_violations += 1
                }
                Err(trouble) => return Err(trouble),
                // No row was there to be deleted: nothing was provoked.
                Ok(done) if done.rows == 0 => {}
                Ok(_) => {
                    eprintln!("traffic: {} let this pass: {}", violation.key, violation.statement);
                    lock(&self.shared).counts().accepted_violations += 1;
                }
            }
        }
        self.session.transaction("ROLLBACK").await?;
        Ok(Vec::new())
    }

    /// One of the application's pages.
    pub(crate) async fn browse(&mut self) -> Result<Vec<Effect>, Trouble> {
        let mut pick = |table: &str| {
            let ids = self.seeds.of(table);
            ids[self.rng.usize(0..ids.len())]
        };
        let (user, county, protocol) = (pick("users"), pick("counties"), pick("protocols"));
        let (table, query) = match self.rng.u8(0..6) {
            0 => (
                "protocols",
                format!(
                    "SELECT id, title, view_count FROM protocols WHERE county_id = {county} AND status = 'published' LIMIT 20"
                ),
            ),
            1 => (
                "notifications",
                format!(
                    "SELECT id, body, is_read FROM notifications WHERE user_id = {user} ORDER BY created_at DESC LIMIT 20"
                ),
            ),
            2 => (
                "protocol_chunks",
                format!(
                    "SELECT v.version, c.position, c.content FROM protocol_versions AS v JOIN protocol_chunks AS c \
                     ON c.protocol_id = v.protocol_id AND c.version = v.version WHERE v.protocol_id = {protocol} ORDER BY c.position LIMIT 50"
                ),
            ),
            3 => ("users", format!("SELECT id, email, display_name, settings FROM users WHERE id = {user}")),
            4 => (
                "feedback",
                format!(
                    "SELECT f.rating, q.question FROM feedback AS f LEFT JOIN queries AS q ON q.id = f.query_id WHERE f.user_id = {user}"
                ),
            ),
            _ => (
                "subscriptions",
                format!(
                    "SELECT s.status, p.name, SUM(i.total) FROM subscriptions AS s JOIN plans AS p ON p.id = s.plan_id \
                     LEFT JOIN invoices AS i ON i.subscription_id = s.id WHERE s.user_id = {user} GROUP BY s.id, s.status, p.name"
                ),
            ),
        };
        self.session.read(table, &query).await?;
        Ok(Vec::new())
    }
}
