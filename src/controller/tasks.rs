//! Long work beside the passes: one task a migration, its progress and its result, and the session that holds the fence from
//! cleanup to the end. Nothing here is needed after a restart: tasks can be begun anew, and the journal knows what was done.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::api::SchemaMigration;
use crate::mysql::session::Session;
use crate::mysql::{Cause, Error, Progress, Reading, Stop};
use crate::plan::Plan;
use crate::telemetry::metrics::Metrics;

use super::observed::{Task, TaskResult, TaskState, Trouble};

/// A session that a task may need; one task at a time uses it.
pub type SessionSlot = Arc<tokio::sync::Mutex<Option<Session>>>;

/// How often progress calls a pass. Each writes a status, which costs the API server a tenth of a second of a processor where the
/// migration is large.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
/// A task that ran this long, and does not wait for anything, has got somewhere.
const LONG_RUN_SECONDS: i64 = 60;
const FIRST_BACKOFF_SECONDS: i64 = 2;
const LONGEST_BACKOFF_SECONDS: i64 = 30;

type Outcome = Result<TaskResult, Arc<Error>>;

struct Slot {
    task: Task,
    reading: watch::Receiver<Reading>,
    stop: Stop,
    outcome: Arc<Mutex<Option<Outcome>>>,
    started: Timestamp,
}

impl Slot {
    fn has_advanced(&self, now: Timestamp) -> bool {
        now.duration_since(self.started).as_secs() > LONG_RUN_SECONDS && self.reading.borrow().waiting.is_none()
    }
}

#[derive(Default)]
struct Entry {
    /// Known once a task was begun; before that nothing is held.
    of: Option<ObjectRef<SchemaMigration>>,
    slot: Option<Slot>,
    session: SessionSlot,
    trouble: Option<Trouble>,
    plan: Option<Arc<Plan>>,
}

impl Entry {
    fn has_session(&self) -> bool {
        self.session.try_lock().map_or(true, |session| session.is_some())
    }
}

/// All tasks of this process.
pub struct Tasks {
    entries: Mutex<HashMap<String, Entry>>,
    /// What runs, and gives back.
    running: TaskTracker,
    /// The process ends. Written and read while the entries are locked.
    over: AtomicBool,
    wake: mpsc::UnboundedSender<ObjectRef<SchemaMigration>>,
    metrics: Arc<Metrics>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept here is replaced as a whole, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tasks {
    /// None yet, and the stream of migrations that want a pass.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> (Self, mpsc::UnboundedReceiver<ObjectRef<SchemaMigration>>) {
        let (wake, woken) = mpsc::unbounded_channel();
        let (entries, running, over) = (Mutex::default(), TaskTracker::new(), AtomicBool::new(false));
        (Self { entries, running, over, wake, metrics }, woken)
    }

    /// The task of a migration.
    #[must_use]
    pub fn state(&self, uid: &str) -> TaskState {
        let entries = lock(&self.entries);
        let Some(slot) = entries.get(uid).and_then(|entry| entry.slot.as_ref()) else { return TaskState::Idle };
        match lock(&slot.outcome).clone() {
            Some(outcome) => TaskState::Ended(slot.task, outcome),
            None => TaskState::Running(slot.task, slot.reading.borrow().clone()),
        }
    }

    /// Trouble of a migration.
    #[must_use]
    pub fn trouble(&self, uid: &str) -> Option<Trouble> {
        lock(&self.entries).get(uid).and_then(|entry| entry.trouble)
    }

    /// Whether the task of a migration has got somewhere, so that trouble before it is over.
    #[must_use]
    pub fn has_advanced(&self, uid: &str, now: Timestamp) -> bool {
        lock(&self.entries).get(uid).and_then(|entry| entry.slot.as_ref()).is_some_and(|slot| slot.has_advanced(now))
    }

    /// Where the session of a migration is kept.
    #[must_use]
    pub fn session(&self, uid: &str) -> SessionSlot {
        lock(&self.entries).entry(uid.to_owned()).or_default().session.clone()
    }

    /// Whether a session is held; while a task uses it, it is.
    #[must_use]
    pub fn has_session(&self, uid: &str) -> bool {
        lock(&self.entries).get(uid).is_some_and(Entry::has_session)
    }

    /// The plan of that digest, if it was read before.
    #[must_use]
    pub fn plan(&self, uid: &str, digest: &str) -> Option<Arc<Plan>> {
        lock(&self.entries).get(uid).and_then(|entry| entry.plan.clone()).filter(|plan| plan.digest == digest)
    }

    /// Keeps a plan that was read.
    pub fn keep_plan(&self, uid: &str, plan: Arc<Plan>) {
        lock(&self.entries).entry(uid.to_owned()).or_default().plan = Some(plan);
    }

    /// Begins a task, unless one is there already, or the process ends: a pass that was at work when its end began comes here, too.
    pub fn start<F>(
        &self,
        uid: &str,
        migration: ObjectRef<SchemaMigration>,
        task: Task,
        work: impl FnOnce(Progress, Stop) -> F,
    ) where
        F: Future<Output = Result<TaskResult, Error>> + Send + 'static,
    {
        let mut entries = lock(&self.entries);
        if self.over.load(Ordering::Relaxed) {
            return;
        }
        let entry = entries.entry(uid.to_owned()).or_default();
        if entry.slot.is_some() {
            return;
        }
        entry.of = Some(migration.clone());
        let (progress, reading) = Progress::new();
        let stop = Stop::default();
        let outcome = Arc::new(Mutex::new(None));
        entry.slot = Some(Slot {
            task,
            reading: reading.clone(),
            stop: stop.clone(),
            outcome: outcome.clone(),
            started: Timestamp::now(),
        });
        let running = self.running.spawn(Box::pin(work(progress, stop)));
        let (wake, metrics) = (self.wake.clone(), self.metrics.clone());
        tokio::spawn(async move {
            let mut running = running;
            let mut reading = reading;
            let mut counted = 0;
            let mut count =
                |timeouts: u64| metrics.count_lock_wait_timeouts(timeouts - std::mem::replace(&mut counted, timeouts));
            let ended = loop {
                tokio::select! {
                    ended = &mut running => break ended,
                    changed = reading.changed() => {
                        if changed.is_err() {
                            break (&mut running).await;
                        }
                        count(reading.borrow_and_update().lock_wait_timeouts);
                        // Nobody listens only while the process ends.
                        let _ = wake.send(migration.clone());
                        tokio::select! {
                            ended = &mut running => break ended,
                            () = tokio::time::sleep(PROGRESS_INTERVAL) => {}
                        }
                    }
                }
            };
            count(reading.borrow().lock_wait_timeouts);
            let result = ended.unwrap_or_else(|error| {
                Err(Error::new(Cause::Server, format!("{} ended unexpectedly: {error}", task.describe())))
            });
            *lock(&outcome) = Some(result.map_err(Arc::new));
            let _ = wake.send(migration);
        });
    }

    /// Asks the task of a migration to stop.
    pub fn stop(&self, uid: &str) {
        if let Some(slot) = lock(&self.entries).get(uid).and_then(|entry| entry.slot.as_ref()) {
            slot.stop.0.cancel();
        }
    }

    /// Throws the result of a task away. A good one ends trouble.
    pub fn forget(&self, uid: &str, task: Task) {
        let mut entries = lock(&self.entries);
        let Some(entry) = entries.get_mut(uid) else { return };
        let outcome = entry.slot.as_ref().filter(|slot| slot.task == task).and_then(|slot| lock(&slot.outcome).clone());
        if let Some(outcome) = outcome {
            entry.slot = None;
            if outcome.is_ok() {
                entry.trouble = None;
            }
        }
    }

    /// Notes trouble: a task that ended with an error, or something that is missing. Its result is thrown away.
    pub fn note_trouble(&self, uid: &str, now: Timestamp) {
        let mut entries = lock(&self.entries);
        let entry = entries.entry(uid.to_owned()).or_default();
        let mut before = entry.trouble;
        if let Some(slot) = &entry.slot
            && lock(&slot.outcome).is_some()
        {
            if slot.has_advanced(now) {
                before = None;
            }
            entry.slot = None;
        }
        let tries = before.map_or(0, |trouble| trouble.tries).saturating_add(1);
        let backoff = FIRST_BACKOFF_SECONDS.saturating_mul(1 << tries.min(5)).min(LONGEST_BACKOFF_SECONDS);
        let next = now.checked_add(jiff::SignedDuration::from_secs(backoff)).unwrap_or(now);
        entry.trouble = Some(Trouble { since: before.map_or(now, |trouble| trouble.since), tries, next });
    }

    /// Notes something that only a person ends: it is looked at again with the same pauses as trouble, but no patience runs out.
    pub fn note_drift(&self, uid: &str, now: Timestamp) {
        self.note_trouble(uid, now);
        if let Some(trouble) = lock(&self.entries).get_mut(uid).and_then(|entry| entry.trouble.as_mut()) {
            trouble.since = now;
        }
    }

    /// What was missing is there again.
    pub fn end_trouble(&self, uid: &str) {
        if let Some(entry) = lock(&self.entries).get_mut(uid) {
            entry.trouble = None;
        }
    }

    /// Forgets what is remembered of a migration that is over: its plan, and all else unless something is still held for it.
    pub fn rest(&self, uid: &str) {
        let mut entries = lock(&self.entries);
        let Some(entry) = entries.get_mut(uid) else { return };
        entry.plan = None;
        if entry.slot.is_none() && !entry.has_session() {
            entries.remove(uid);
        }
    }

    /// Forgets a migration whose task has ended.
    pub fn remove(&self, uid: &str) {
        lock(&self.entries).remove(uid);
    }

    /// Ends what is held for a migration that is gone, or that was created anew and is another one now: nobody else would. Its task
    /// is asked to stop, and its fence is given back as soon as the task has ended. `there` is the uid of the one that is there.
    pub fn abandon(&self, name: &str, namespace: Option<&str>, there: Option<&str>) {
        let mut entries = lock(&self.entries);
        let gone = entries.extract_if(|uid, entry| {
            let same = |of: &ObjectRef<SchemaMigration>| of.name == name && of.namespace.as_deref() == namespace;
            entry.of.as_ref().is_some_and(same) && there != Some(uid.as_str())
        });
        for (uid, entry) in gone {
            // Before the entry is gone for others, so that a task that has yet to ask for its session finds itself stopped.
            if let Some(slot) = &entry.slot {
                slot.stop.0.cancel();
            }
            tracing::info!(migration = name, namespace, uid, "gone: what was held for it is given back");
            self.running.spawn(async move {
                if let Some(session) = entry.session.lock().await.take() {
                    give_back(session).await;
                }
            });
        }
    }

    /// Stops every task, waits for its end, and gives every fence back, within a time. Nothing begins any more.
    pub async fn shut_down(&self, limit: Duration) {
        {
            let entries = lock(&self.entries);
            self.over.store(true, Ordering::Relaxed);
            for slot in entries.values().filter_map(|entry| entry.slot.as_ref()) {
                slot.stop.0.cancel();
            }
        }
        self.running.close();
        let released = tokio::time::timeout(limit, async {
            self.running.wait().await;
            let sessions: Vec<SessionSlot> = lock(&self.entries).values().map(|entry| entry.session.clone()).collect();
            for slot in sessions {
                if let Some(session) = slot.lock().await.take() {
                    give_back(session).await;
                }
            }
        });
        if released.await.is_err() {
            tracing::warn!("tasks did not stop within {} s; the journal settles what they did", limit.as_secs());
        }
    }
}

/// Gives a fence back, as well as it can be: a server that does not answer frees it with the connection.
pub(super) async fn give_back(session: Session) {
    if let Err(error) = session.release().await {
        tracing::warn!(%error, "the fence could not be given back; the server frees it with the connection");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_is_held_for_a_migration_that_is_gone_is_ended_and_for_its_namesake_kept() {
        let (tasks, _woken) = Tasks::new(Arc::default());
        let of = |name: &str| ObjectRef::<SchemaMigration>::new(name).within("shop");
        let waits = |_: Progress, stop: Stop| async move {
            stop.0.cancelled().await;
            stop.check()?;
            Err(Error::new(Cause::Server, "not stopped"))
        };
        tasks.start("old", of("first"), Task::Preflight, waits);
        tasks.start("new", of("first"), Task::Preflight, waits);
        tasks.start("other", of("second"), Task::Preflight, waits);
        let stop = |uid: &str| lock(&tasks.entries).get(uid).unwrap().slot.as_ref().unwrap().stop.clone();
        let (old, new) = (stop("old"), stop("new"));
        tasks.abandon("first", Some("elsewhere"), None);
        assert!(old.check().is_ok(), "another namespace is another migration");
        tasks.abandon("first", Some("shop"), Some("new"));
        assert!(old.check().is_err() && new.check().is_ok());
        assert!(matches!(tasks.state("old"), TaskState::Idle), "nothing is known of it any more");
        assert!(matches!(tasks.state("new"), TaskState::Running(..)));
        tasks.abandon("first", Some("shop"), None);
        assert!(new.check().is_err());
        assert!(matches!(tasks.state("other"), TaskState::Running(..)));
    }

    #[tokio::test]
    async fn at_the_end_what_runs_is_waited_for_and_nothing_begins_any_more() {
        let (tasks, _woken) = Tasks::new(Arc::default());
        let of = |name: &str| ObjectRef::<SchemaMigration>::new(name).within("shop");
        let ended = Arc::new(AtomicBool::new(false));
        let told = ended.clone();
        tasks.start("runs", of("runs"), Task::Preflight, |_, stop| async move {
            stop.0.cancelled().await;
            // As the server takes its time to end a statement.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            told.store(true, Ordering::Relaxed);
            Err(Error::new(Cause::Stopped, "stopped"))
        });
        tasks.shut_down(Duration::from_secs(60)).await;
        assert!(ended.load(Ordering::Relaxed));
        let never = |_: Progress, _: Stop| async { panic!("it began") };
        tasks.start("late", of("late"), Task::Preflight, never);
        assert!(matches!(tasks.state("late"), TaskState::Idle));
    }

    #[tokio::test]
    async fn of_a_migration_that_is_over_nothing_is_remembered_unless_something_is_held_for_it() {
        let (tasks, _woken) = Tasks::new(Arc::default());
        let entries = || lock(&tasks.entries).len();
        assert!(!tasks.has_session("over") && entries() == 0, "looking leaves nothing behind");
        tasks.note_trouble("over", Timestamp::now());
        tasks.rest("over");
        assert_eq!(entries(), 0);
        let of = ObjectRef::<SchemaMigration>::new("busy").within("shop");
        tasks.start("busy", of, Task::Preflight, |_, stop| async move {
            stop.0.cancelled().await;
            Err(Error::new(Cause::Stopped, "stopped"))
        });
        tasks.rest("busy");
        assert!(matches!(tasks.state("busy"), TaskState::Running(..)));
    }
}
