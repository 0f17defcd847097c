//! Fills the database: several connections, INSERTs of many rows, nothing kept in memory but the statement being sent.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::try_join_all;
use sqlx::Connection;

use super::connection::Server;
use super::failure::{Failure, Result, WhileDoing, file};
use super::layout::Layout;
use super::rows::{Written, all_tables, insert_prefix, write_rows};
use super::schema::execute;
use super::tables::Contents;
use super::truth::Truth;

/// Ids to a statement: about 200 kB.
const IDS_PER_STATEMENT: u64 = 1_000;

/// Generates about this many rows and returns what was planted.
pub(crate) async fn generate(server: &Server, rows: u64, seed: u64, connections: usize) -> Result<Truth> {
    let layout = Arc::new(Layout::new(rows, seed).map_err(Failure::Invalid)?);
    let work: Arc<Vec<(&'static Contents, u64)>> = Arc::new(
        all_tables().map(|contents| (contents, layout.of(contents.table).last.div_ceil(IDS_PER_STATEMENT))).collect(),
    );
    let next = Arc::new(AtomicU64::new(0));
    let workers = (0..connections.max(1)).map(|_| {
        let (server, layout, work, next) = (server.clone(), Arc::clone(&layout), Arc::clone(&work), Arc::clone(&next));
        // Spawned, so that one connection's rows are made while another one's are sent.
        async move {
            tokio::spawn(async move { fill(&server, &layout, &work, &next).await })
                .await
                .map_err(|error| Failure::Invalid(format!("a connection's task ended: {error}")))?
        }
    });
    let mut truth = Truth::new(rows, seed);
    for written in try_join_all(workers).await? {
        for (contents, written) in all_tables().zip(&written) {
            truth.add(contents, written);
        }
    }
    let mut connection = server.connect().await?;
    for contents in all_tables() {
        execute(&mut connection, &format!("ANALYZE TABLE {}", contents.name)).await?;
    }
    connection.close().await.while_doing("closing the connection")?;
    Ok(truth)
}

/// Takes statements to fill, one after the other, until there are no more.
async fn fill(
    server: &Server,
    layout: &Layout,
    work: &[(&'static Contents, u64)],
    next: &AtomicU64,
) -> Result<Vec<Written>> {
    let mut connection = server.connect().await?;
    let mut written: Vec<Written> = work.iter().map(|(contents, _)| Written::none(contents)).collect();
    while let Some((table, part)) = locate(work, next.fetch_add(1, Ordering::Relaxed)) {
        let contents = work[table].0;
        let last = layout.of(contents.table).last;
        let ids = part * IDS_PER_STATEMENT + 1..=((part + 1) * IDS_PER_STATEMENT).min(last);
        let mut statement = insert_prefix(contents);
        let prefix = statement.len();
        let part = write_rows(layout, contents, ids, &mut statement);
        if part.rows > 0 {
            let inserted = execute(&mut connection, &statement).await?;
            if inserted != part.rows {
                return Err(Failure::Invalid(format!(
                    "{}: {inserted} rows inserted instead of {} ({} bytes)",
                    contents.name,
                    part.rows,
                    statement.len() - prefix
                )));
            }
            written[table].add(&part);
        }
    }
    connection.close().await.while_doing("closing the connection")?;
    Ok(written)
}

/// The table and its part that the statement of this number fills.
fn locate(work: &[(&'static Contents, u64)], mut number: u64) -> Option<(usize, u64)> {
    for (table, (_, parts)) in work.iter().enumerate() {
        if number < *parts {
            return Some((table, number));
        }
        number -= parts;
    }
    None
}

/// Writes the truth to a file, or as one line to the standard output for `-`.
pub(crate) fn write_truth(truth: &Truth, destination: &Path) -> Result<()> {
    let line = serde_json::to_string(truth).map_err(|error| Failure::Invalid(format!("writing the truth: {error}")))?;
    if destination == Path::new("-") {
        // Nothing else is printed: the log of a container, where both outputs meet, must end with this line.
        println!("{line}");
    } else {
        std::fs::write(destination, line + "\n").map_err(file(destination))?;
        eprintln!("generated {} rows", truth.totals.rows);
    }
    Ok(())
}

/// Reads a truth that was written before.
pub(crate) fn read_truth(source: &Path) -> Result<Truth> {
    let text = std::fs::read_to_string(source).map_err(file(source))?;
    serde_json::from_str(&text).map_err(|error| Failure::Invalid(format!("{}: {error}", source.display())))
}
