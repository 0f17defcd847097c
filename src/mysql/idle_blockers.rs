//! Ending sessions that stand in the way of a schema change, where `spec.execution.killBlockers` asks for it: only those that hold a
//! transaction open and do nothing in it. Whatever is not certain of a session spares it, and why is said where it is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use sqlx::Row;

use super::blockers::Blocker;
use super::connection::{Connection, SessionLimits};
use super::deadline::{SHORT_STATEMENT, within};
use super::error::{Error, code};
use super::session::Work;
use super::work::{KillBlockers, Notice};

/// An application thinks between two statements of a transaction; one that thinks for so long has forgotten it.
const IDLE_AT_LEAST: Duration = Duration::from_secs(5);
/// A transaction that changed more rows is heavy (`innodb_trx.trx_rows_modified`): taking it back is work, and so is doing it again.
const LIGHT_ROWS: u64 = 100;
/// How long `innodb_trx`, which another reader can keep stale, may take to show a transaction of our own. Less than a session must
/// have been idle: what it then shows of one cannot have changed since.
const FRESH_DEADLINE: Duration = Duration::from_secs(3);
/// How long a killed session may take to be gone: its transaction is light.
const GONE_DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(20);

/// What the server shows of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SessionFacts {
    /// Whether a client is at its other end: not replication, nor the event scheduler.
    of_a_client: bool,
    /// Whether it is of the account that this migration logs in with.
    of_our_account: bool,
    /// Whether no statement runs.
    sleeping: bool,
    /// Since when, in whole seconds.
    idle: Duration,
    /// Whether a transaction is open.
    in_transaction: bool,
    /// Whether that is a part of a distributed one.
    distributed: bool,
    /// Metadata locks of kinds that no transaction takes by reading and writing rows: LOCK TABLES, FLUSH TABLES, GET_LOCK, HANDLER.
    other_locks: u64,
}

/// Why a session is not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Spared {
    NoClient,
    OurAccount,
    Works,
    NoTransaction,
    Distributed,
    OtherLocks,
    Idle(Duration),
    Heavy(u64),
    Stale,
    Unknown,
    Refused(String),
    StillThere,
}

impl fmt::Display for Spared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClient => formatter.write_str("it is the server's own, not a client's"),
            Self::OurAccount => formatter.write_str("it is of the account that this migration logs in with"),
            Self::Works => formatter.write_str("it runs a statement"),
            Self::NoTransaction => formatter.write_str("the server shows no open transaction of it"),
            Self::Distributed => formatter.write_str("its transaction is part of a distributed one (XA)"),
            Self::OtherLocks => formatter
                .write_str("it holds locks that no transaction takes (LOCK TABLES, FLUSH TABLES, GET_LOCK or HANDLER)"),
            Self::Idle(idle) => write!(
                formatter,
                "it has been idle for {} s, and is ended after {} s",
                idle.as_secs(),
                IDLE_AT_LEAST.as_secs()
            ),
            Self::Heavy(rows) => {
                write!(
                    formatter,
                    "it has changed {rows} rows, more than {LIGHT_ROWS}, which would all have to be taken back"
                )
            }
            Self::Stale => write!(
                formatter,
                "how many rows it has changed is not known: another reader keeps information_schema.innodb_trx stale, which was asked for {} s",
                FRESH_DEADLINE.as_secs()
            ),
            Self::Unknown => formatter.write_str("this server does not show what it does"),
            Self::Refused(answer) => write!(formatter, "the server did not end it: {answer}"),
            Self::StillThere => {
                write!(formatter, "it was killed and is there still after {} s", GONE_DEADLINE.as_secs())
            }
        }
    }
}

/// What a session is spared for, as far as it can be told without its rows.
fn spared(facts: &SessionFacts) -> Option<Spared> {
    match facts {
        SessionFacts { of_a_client: false, .. } => Some(Spared::NoClient),
        SessionFacts { of_our_account: true, .. } => Some(Spared::OurAccount),
        SessionFacts { sleeping: false, .. } => Some(Spared::Works),
        SessionFacts { other_locks: 1.., .. } => Some(Spared::OtherLocks),
        SessionFacts { distributed: true, .. } => Some(Spared::Distributed),
        SessionFacts { in_transaction: false, .. } => Some(Spared::NoTransaction),
        SessionFacts { idle, .. } if *idle < IDLE_AT_LEAST => Some(Spared::Idle(*idle)),
        _ => None,
    }
}

/// What became of blockers.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Sessions that were ended and are gone.
    pub(crate) ended: u32,
    /// For the message about those that are left: why each was spared. Empty where nothing is to be killed.
    pub(crate) spared: String,
}

/// Ends those of the blockers that are idle, if the settings say so, and waits until each is gone.
///
/// # Errors
/// When the server cannot be asked, or [`super::Cause::Stopped`].
pub(crate) async fn end(
    work: &Work<'_>,
    label: &str,
    observer: &mut Connection,
    blockers: &[Blocker],
) -> Result<Outcome, Error> {
    if work.settings.kill_blockers == KillBlockers::Never {
        return Ok(Outcome::default());
    }
    let mut reasons: BTreeMap<u64, Spared> = BTreeMap::new();
    let mut candidates: Vec<(u64, &Blocker)> = Vec::new();
    let mut seen = BTreeSet::new();
    for blocker in blockers {
        let Some(id) = blocker.connection else { continue };
        if !seen.insert(id) {
            continue;
        }
        match read(observer, id).await? {
            Look::Gone => {}
            Look::At(facts) => match spared(&facts) {
                Some(reason) => drop(reasons.insert(id, reason)),
                None => candidates.push((id, blocker)),
            },
            Look::Unreadable => drop(reasons.insert(id, Spared::Unknown)),
        }
    }
    let mut ended = 0;
    if !candidates.is_empty() {
        let mut killer = work.connect(SessionLimits::default()).await?;
        let rows = rows_changed(work, &mut killer).await?;
        for (id, blocker) in candidates {
            work.stop.check()?;
            match end_one(work, label, &mut killer, (id, blocker), rows.as_ref()).await? {
                None => ended += 1,
                Some(reason) => drop(reasons.insert(id, reason)),
            }
        }
        within(SHORT_STATEMENT, "closing a connection", killer.close()).await?;
    }
    let reasons: Vec<String> = reasons.iter().map(|(id, reason)| format!("connection {id}: {reason}")).collect();
    let spared = match &reasons[..] {
        [] => String::new(),
        reasons => format!(" (not killed: {})", reasons.join("; ")),
    };
    Ok(Outcome { ended, spared })
}

/// Ends one session after a last look; why it was spared, or `None` once it is gone.
async fn end_one(
    work: &Work<'_>,
    label: &str,
    killer: &mut Connection,
    (id, blocker): (u64, &Blocker),
    rows: Option<&BTreeMap<u64, u64>>,
) -> Result<Option<Spared>, Error> {
    let Some(rows) = rows else { return Ok(Some(Spared::Stale)) };
    // One that InnoDB does not list has changed nothing.
    let changed = rows.get(&id).copied().unwrap_or(0);
    if changed > LIGHT_ROWS {
        return Ok(Some(Spared::Heavy(changed)));
    }
    let facts = match read(killer, id).await? {
        Look::Gone => return Ok(None),
        Look::Unreadable => return Ok(Some(Spared::Unknown)),
        Look::At(facts) => facts,
    };
    if let Some(reason) = spared(&facts) {
        return Ok(Some(reason));
    }
    let text = format!(
        "killed, because it held up {label} (spec.execution.killBlockers is IdleTransactions): {blocker}; idle for {} s, {changed} rows changed",
        facts.idle.as_secs()
    );
    match within(SHORT_STATEMENT, "ending an idle session", killer.run(&format!("KILL CONNECTION {id}"))).await {
        Ok(_) => {}
        Err(error) if error.code == Some(code::NO_SUCH_THREAD) => return Ok(None),
        Err(error) if matches!(error.code, Some(code::KILL_DENIED | code::SPECIFIC_ACCESS_DENIED)) => {
            return Ok(Some(Spared::Refused(error.message)));
        }
        Err(error) => return Err(error),
    }
    tracing::warn!(connection = id, "{text}");
    work.progress.tell(Notice::BlockerKilled { connection: id, text });
    let killed = Instant::now();
    while killed.elapsed() < GONE_DEADLINE {
        if matches!(read(killer, id).await?, Look::Gone) {
            return Ok(None);
        }
        work.progress.update(|reading| {
            reading.waiting = Some(format!("{label}: connection {id}, which was killed, is to be gone"));
        });
        work.pause(LOOK).await?;
    }
    Ok(Some(Spared::StillThere))
}

/// What a look at a session found.
enum Look {
    Gone,
    Unreadable,
    At(SessionFacts),
}

async fn read(connection: &mut Connection, id: u64) -> Result<Look, Error> {
    let Some(statement) = connection.dialect.session_facts() else { return Ok(Look::Unreadable) };
    within(SHORT_STATEMENT, "looking what a session does", async {
        let row = sqlx::query(statement).bind(id).fetch_optional(connection.raw()).await?;
        let Some(row) = row else { return Ok(Look::Gone) };
        let (name, command): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let (user, own): (Option<String>, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
        let (state, xa): (Option<String>, Option<String>) = (row.try_get(5)?, row.try_get(6)?);
        Ok(Look::At(SessionFacts {
            of_a_client: name.ends_with("one_connection") && user.is_some(),
            of_our_account: user == own,
            sleeping: command.as_deref() == Some("Sleep"),
            idle: Duration::from_secs(row.try_get(2)?),
            in_transaction: state.as_deref() == Some("ACTIVE"),
            distributed: xa.is_some_and(|state| state != "NOTXA"),
            other_locks: row.try_get(7)?,
        }))
    })
    .await
}

/// How many rows each open transaction has changed; `None` where that cannot be had fresh.
async fn rows_changed(work: &Work<'_>, killer: &mut Connection) -> Result<Option<BTreeMap<u64, u64>>, Error> {
    within(SHORT_STATEMENT, "opening a transaction", killer.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")).await?;
    let begun = Instant::now();
    let mut found = None;
    while found.is_none() && begun.elapsed() < FRESH_DEADLINE {
        work.last_reading.pause(work).await?;
        let rows = within(SHORT_STATEMENT, "reading information_schema.innodb_trx", async {
            let rows = sqlx::raw_sql(
                "SELECT CAST(trx_mysql_thread_id AS UNSIGNED), CAST(trx_rows_modified AS UNSIGNED) FROM information_schema.innodb_trx",
            )
            .fetch_all(killer.raw())
            .await?;
            work.last_reading.note();
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<BTreeMap<u64, u64>, Error>>()
        })
        .await?;
        // A reading that shows the transaction opened just now is younger than it.
        if rows.contains_key(&killer.id) {
            found = Some(rows);
        }
    }
    within(SHORT_STATEMENT, "closing the transaction", killer.run("COMMIT")).await?;
    // What was read long ago may have changed since.
    Ok(found.filter(|_| begun.elapsed() < FRESH_DEADLINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forgotten() -> SessionFacts {
        SessionFacts {
            of_a_client: true,
            of_our_account: false,
            sleeping: true,
            idle: Duration::from_secs(60),
            in_transaction: true,
            distributed: false,
            other_locks: 0,
        }
    }

    #[test]
    fn only_a_clients_idle_plain_transaction_is_not_spared() {
        assert_eq!(spared(&forgotten()), None);
        let short = Duration::from_secs(4);
        for (facts, reason) in [
            (SessionFacts { of_a_client: false, ..forgotten() }, Spared::NoClient),
            (SessionFacts { of_our_account: true, ..forgotten() }, Spared::OurAccount),
            (SessionFacts { sleeping: false, ..forgotten() }, Spared::Works),
            (SessionFacts { other_locks: 1, ..forgotten() }, Spared::OtherLocks),
            (SessionFacts { distributed: true, ..forgotten() }, Spared::Distributed),
            (SessionFacts { in_transaction: false, ..forgotten() }, Spared::NoTransaction),
            (SessionFacts { idle: short, ..forgotten() }, Spared::Idle(short)),
        ] {
            assert_eq!(spared(&facts), Some(reason));
        }
    }
}
