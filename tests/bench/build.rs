//! What the application feels of an index that is built online: with as many threads as the server takes by itself, and with one, as the engine
//! builds. In turns on the same table, so that what else the machine does meets both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast::mysql::{SessionLimits, Target};
use tokio::sync::mpsc;

use crate::figure::{Failure, Figure};

const SCHEMA: &str = "holdfast_bench_build";
const ROWS: u64 = 1_000_000;
const TIMES: usize = 5;
const WRITERS: u64 = 4;
/// Between two writes of a writer.
const PAUSE: Duration = Duration::from_millis(4);

/// What is said to the session that builds.
const SERVERS_OWN: &str = "SET SESSION innodb_ddl_threads = DEFAULT, innodb_parallel_read_threads = DEFAULT";
const ONE: &str = "SET SESSION innodb_ddl_threads = 1, innodb_parallel_read_threads = 1";

/// One build.
struct Build {
    /// The 99th percentile of writes meanwhile, in milliseconds.
    felt: f64,
    took: Duration,
}

/// Builds the index both ways several times, and drops what it made.
pub(crate) async fn measure(target: &Target) -> Result<Vec<Figure>, Failure> {
    let figures = compare(target).await;
    let mut connection = target.connect(SessionLimits::default()).await?;
    connection.run(&format!("DROP SCHEMA IF EXISTS {SCHEMA}")).await?;
    connection.close().await?;
    figures
}

async fn compare(target: &Target) -> Result<Vec<Figure>, Failure> {
    let table = format!("{SCHEMA}.t");
    let mut connection = target.connect(SessionLimits::default()).await?;
    for statement in [
        format!("DROP SCHEMA IF EXISTS {SCHEMA}"),
        format!("CREATE SCHEMA {SCHEMA}"),
        format!("CREATE TABLE {table} (id INT PRIMARY KEY, owner INT, counter INT, text VARCHAR(100))"),
        "SET SESSION cte_max_recursion_depth = 4294967295".to_owned(),
        format!(
            "INSERT INTO {table} WITH RECURSIVE n AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM n WHERE id < {ROWS}) \
             SELECT id, RAND(id) * 100000, 0, REPEAT('a', 100) FROM n"
        ),
    ] {
        connection.run(&statement).await?;
    }
    connection.close().await?;
    let (mut servers_own, mut one) = (Vec::new(), Vec::new());
    for time in 1..=TIMES {
        println!("bench: an index while the application writes: {time} of {TIMES}");
        // The order changes, so that neither always comes after the other.
        if time % 2 == 0 {
            one.push(build(target, &table, ONE).await?);
        }
        servers_own.push(build(target, &table, SERVERS_OWN).await?);
        if time % 2 == 1 {
            one.push(build(target, &table, ONE).await?);
        }
    }
    let felt = |builds: &[Build]| builds.iter().map(|build| build.felt).collect::<Vec<_>>();
    let took = |builds: &[Build]| builds.iter().map(|build| build.took.as_secs_f64()).collect::<Vec<_>>();
    let ratio = |of: &dyn Fn(&Build) -> f64| {
        one.iter().zip(&servers_own).map(|(one, servers_own)| of(one) / of(servers_own)).collect::<Vec<_>>()
    };
    let figure = |name: &str, what: &str, unit, samples| {
        Figure::less(name, format!("{what}, {ROWS} rows, {WRITERS} writers"), unit, samples, None)
    };
    Ok(vec![
        figure(
            "build-felt-ratio",
            "99th percentile of writes while an index is built, one thread against the server's own",
            "x",
            ratio(&|build| build.felt),
        ),
        figure("build-felt-one", "  with one thread, as the engine builds", "ms", felt(&one)),
        figure("build-felt-own", "  with the server's own number of threads", "ms", felt(&servers_own)),
        figure(
            "build-took-ratio",
            "  what the build took, one thread against the server's own",
            "x",
            ratio(&|build| build.took.as_secs_f64()),
        ),
        figure("build-took-one", "  with one thread", "s", took(&one)),
    ])
}

/// Builds the index while the application writes, and drops it.
async fn build(target: &Target, table: &str, threads: &str) -> Result<Build, Failure> {
    let over = Arc::new(AtomicBool::new(false));
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let mut connection = target.connect(SessionLimits::default()).await?;
        let (over, tell, table) = (over.clone(), tell.clone(), table.to_owned());
        writers.push(tokio::spawn(async move {
            let mut id = writer + 1;
            while !over.load(Ordering::Relaxed) {
                // Far from the last one.
                id = (id + WRITERS * 7919) % ROWS + 1;
                let begun = Instant::now();
                connection.run(&format!("UPDATE {table} SET counter = counter + 1 WHERE id = {id}")).await?;
                let _ = tell.send(begun.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
            connection.close().await
        }));
    }
    drop(tell);
    let mut connection = target.connect(SessionLimits::default()).await?;
    connection.run(threads).await?;
    let begun = Instant::now();
    connection.run(&format!("ALTER TABLE {table} ADD INDEX i (owner), ALGORITHM = INPLACE, LOCK = NONE")).await?;
    let took = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    connection.run(&format!("ALTER TABLE {table} DROP INDEX i")).await?;
    connection.close().await?;
    let mut writes = Vec::new();
    while let Some(write) = told.recv().await {
        writes.push(write);
    }
    for writer in writers {
        writer.await??;
    }
    writes.sort_unstable();
    let felt = writes.get(writes.len() * 99 / 100).ok_or("nothing was written while the index was built")?;
    Ok(Build { felt: felt.as_secs_f64() * 1000.0, took })
}
