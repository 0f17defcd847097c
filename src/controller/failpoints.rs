//! Points before and after everything by which the operator itself changes something outside of its process, at each of which a test ends
//! it. What it changes on a MySQL server has points of its own (src/mysql/failpoints.rs). They are compiled in with the feature
//! `failpoints` only, which no released program has; without it nothing of them is left but the list.

use crate::api::names::names;

names! {
    /// What is changed. Tests go through all of them.
    Boundary {
        /// The Lease by which one of several replicas leads is taken.
        LeaseTaken,
        /// The status of a migration is written.
        StatusWritten,
        /// An Event is published.
        EventPublished,
        /// The finalizer is put onto a migration.
        FinalizerAdded,
        /// It is taken away.
        FinalizerRemoved,
        /// A ConfigMap with a part of the plan is created.
        PlanStored,
        /// A Job is created.
        JobCreated,
        /// A Job is deleted.
        JobDeleted,
        /// A Job that has succeeded is given a time to live.
        JobLetGo,
        /// A VolumeSnapshot is created.
        VolumeSnapshotCreated,
        /// The ConfigMap with the evidence is created.
        EvidenceWritten,
    }
}

/// Something is changed by `effect`, between the two points of its boundary. One that did not succeed has no point after it.
pub(super) async fn around<T, E>(boundary: Boundary, effect: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    reached::reach("before", boundary);
    let result = effect.await;
    if result.is_ok() {
        reached::reach("after", boundary);
    }
    result
}

#[cfg(feature = "failpoints")]
mod reached {
    use std::collections::HashMap;
    use std::fs::File;
    use std::io::Write as _;
    use std::process::Command;
    use std::sync::{Mutex, OnceLock};

    use super::Boundary;

    /// The file to which every point is written that is reached, one a line: `before StatusWritten 3`, the third one of this process.
    const FILE: &str = "HOLDFAST_FAILPOINTS_FILE";
    /// The point at which the process is killed, written as in the file.
    const KILL: &str = "HOLDFAST_FAILPOINT_KILL";

    struct Points {
        file: Option<File>,
        kill: Option<String>,
        counts: HashMap<(&'static str, Boundary), u32>,
    }

    static POINTS: OnceLock<Mutex<Points>> = OnceLock::new();

    #[allow(clippy::expect_used)] // A test build: what a test set wrongly has to end it.
    pub(super) fn reach(when: &'static str, boundary: Boundary) {
        let points = POINTS.get_or_init(|| {
            let file = std::env::var_os(FILE).map(|path| {
                File::options().append(true).create(true).open(path).expect("HOLDFAST_FAILPOINTS_FILE can be written")
            });
            Mutex::new(Points { file, kill: std::env::var(KILL).ok(), counts: HashMap::new() })
        });
        let mut points = points.lock().expect("nobody panics with the points in hand");
        let count = points.counts.entry((when, boundary)).or_default();
        *count += 1;
        let point = format!("{when} {boundary} {count}");
        if let Some(file) = &mut points.file {
            writeln!(file, "{point}").expect("HOLDFAST_FAILPOINTS_FILE can be written");
        }
        if points.kill.as_ref() == Some(&point) {
            // SIGKILL, which the standard library sends to other processes only. Nothing goes on here until it comes.
            let killed = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
            unreachable!("the process outlived {point}: {killed:?}");
        }
    }
}

#[cfg(not(feature = "failpoints"))]
mod reached {
    #[inline(always)]
    pub(super) const fn reach(_when: &'static str, _boundary: super::Boundary) {}
}
