//! The sample application at work beside what is measured, and what its writers felt of it.

use std::future::Future;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::world::{World, count_keys, extent};
use crate::figure::Failure;
use crate::sample::schema::execute;
use crate::sample::traffic::measure::ListedWrite;
use crate::sample::traffic::{TrafficArguments, work};

/// Units of work a second, each one statement or one transaction, of which about three in four write.
const RATE: u32 = 200;
const CONNECTIONS: usize = 4;
/// Longer than anything that a writer may have to wait for: who gives up feels less than there is.
const STATEMENT_DEADLINE: u64 = 3 * 3600;
/// How long the reader holds its parent.
const HELD: Duration = Duration::from_secs(10);
/// How long the reader waits for half of the keys.
const KEYS_DEADLINE: Duration = Duration::from_secs(3 * 3600);

/// What writers felt.
#[derive(Debug, Clone)]
pub(crate) struct Felt {
    pub(crate) worst_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p50_ms: f64,
    /// In which at least one write was under way that took more than 100 ms.
    pub(crate) blocked_s: f64,
    /// The same, added up over the writers.
    pub(crate) writers_blocked_s: f64,
    /// In which no write ended, in pieces of more than 100 ms.
    pub(crate) no_write_s: f64,
    /// How long they worked.
    pub(crate) seconds: f64,
    pub(crate) failed_writes: f64,
    /// Rows that are not as the application left them.
    pub(crate) wrong_rows: u64,
    pub(crate) writes: Vec<ListedWrite>,
}

impl Felt {
    /// The latency in milliseconds that 99 of 100 writes of a span of time stay below; `None` where there are too few to say so.
    pub(crate) fn p99_between(&self, from: SystemTime, to: SystemTime) -> Option<f64> {
        let ended = self.writes.iter().filter(|write| from <= write.at && write.at < to);
        let mut latencies: Vec<Duration> = ended.map(|write| write.latency).collect();
        latencies.sort_unstable();
        let place = (latencies.len() * 99).div_ceil(100);
        (latencies.len() >= 100).then(|| latencies[place - 1].as_secs_f64() * 1_000.0)
    }
}

/// Does something while the application works; it begins once the application does.
pub(crate) async fn beside<T>(
    world: &World,
    action: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, Felt), Failure> {
    let arguments = TrafficArguments {
        rate: RATE,
        connections: CONNECTIONS,
        duration: None,
        report: "-".into(),
        copy_tables: Vec::new(),
        seed: Some(1),
        statement_deadline: STATEMENT_DEADLINE,
        list_writes: true,
    };
    let (begun, stop) = (CancellationToken::new(), CancellationToken::new());
    let working = async {
        let report = work(&world.server, &arguments, stop.clone(), |_| {
            begun.cancel();
            Ok(())
        })
        .await;
        // Where it fails early, the other side must not wait for it.
        begun.cancel();
        report
    };
    let acting = async {
        begun.cancelled().await;
        let result = action.await;
        stop.cancel();
        result
    };
    let (report, result) = tokio::join!(working, acting);
    let (report, result) = (report?, result?);
    let ledger = report.ledger.clone().unwrap_or_default();
    let felt = Felt {
        worst_ms: report.write_max_ms,
        p99_ms: report.write_p99_ms,
        p50_ms: report.write_p50_ms,
        blocked_s: report.write_blocked_ms / 1_000.0,
        writers_blocked_s: report.all_writers_blocked_ms / 1_000.0,
        no_write_s: report.no_write_ended_ms / 1_000.0,
        seconds: report.elapsed_s,
        failed_writes: report.counts.write_errors as f64,
        wrong_rows: ledger.lost_rows + ledger.changed_rows + ledger.returned_rows,
        writes: report.listed_writes,
    };
    Ok((result, felt))
}

/// The application alone.
pub(crate) async fn alone(world: &World, duration: Duration) -> Result<Felt, Failure> {
    let waiting = async {
        tokio::time::sleep(duration).await;
        Ok(())
    };
    Ok(beside(world, waiting).await?.1)
}

/// Does something, and once half of the keys are there holds their parent by a transaction that only reads, as a report or an idle
/// client does.
pub(crate) async fn with_a_reader<T>(
    world: &World,
    action: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let reading = async {
        let mut connection = world.connect().await?;
        let begun = Instant::now();
        while count_keys(&mut connection).await? < extent().0 / 2 {
            if begun.elapsed() > KEYS_DEADLINE {
                return Err(format!("waited {} s for half of the keys", KEYS_DEADLINE.as_secs()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        execute(&mut connection, "START TRANSACTION").await?;
        execute(&mut connection, "SELECT id FROM users LIMIT 1").await?;
        tokio::time::sleep(HELD).await;
        execute(&mut connection, "COMMIT").await?;
        Ok::<_, Failure>(())
    };
    let ((), result) = tokio::try_join!(reading, action)?;
    Ok(result)
}
