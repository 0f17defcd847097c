//! How far a dump is, as a line of the Job's log that the operator reads: a Job has no token by which it could tell the API server itself.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What a line with the progress begins with.
const MARK: &str = "progress: ";
const INTERVAL: Duration = Duration::from_secs(10);

/// How far a dump is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Bytes of the dump, before it is compressed.
    pub bytes: u64,
    /// Tables that were begun.
    pub tables: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Milliseconds since mysqldump was started.
    pub milliseconds: u64,
}

impl Progress {
    /// The newest that a log tells.
    #[must_use]
    pub fn newest(log: &str) -> Option<Self> {
        log.lines().rev().find_map(|line| serde_json::from_str(line.strip_prefix(MARK)?).ok())
    }

    fn line(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{MARK}{}", serde_json::to_string(self)?))
    }
}

/// Tells now and then how far it is.
pub(super) struct Teller {
    began: Instant,
    told: Instant,
}

impl Teller {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { began: now, told: now }
    }

    /// Tells, where it is time; `count` gives bytes, tables and rows.
    pub(super) fn tell(&mut self, count: impl FnOnce() -> (u64, u64, u64)) {
        if self.told.elapsed() < INTERVAL {
            return;
        }
        self.told = Instant::now();
        let (bytes, tables, rows) = count();
        let milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match (Progress { bytes, tables, rows, milliseconds }).line() {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("holdfast: telling the progress: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_line_counts_and_others_do_not() {
        let progress = |bytes| Progress { bytes, tables: 2, rows: 3, milliseconds: 4 };
        let log = format!(
            "{}\nmysqldump: [Warning] careful\n{}\nprogress: not yet\n",
            progress(1).line().unwrap(),
            progress(9).line().unwrap()
        );
        assert_eq!(Progress::newest(&log), Some(progress(9)));
        assert_eq!(Progress::newest("nothing"), None);
    }
}
