//! What was watched and what was not, in words.

use super::SUSTAINED;
use crate::api::status::{SoakStatus, SoakWatch, Watched};

/// Whether so much was judged that a breach would have been seen.
fn is_watched(watch: &SoakWatch) -> bool {
    let least = match watch.name {
        Watched::ForeignKeyErrors | Watched::LockErrors | Watched::LogMatches => 1,
        Watched::ReadLatency | Watched::WriteLatency | Watched::DeleteLatency => SUSTAINED,
    };
    watch.judged >= least
}

/// Whether anything was watched so that it counts.
#[must_use]
pub fn saw_something(status: &SoakStatus) -> bool {
    status.watches.iter().any(is_watched)
}

/// What was watched and what was not, in sentences.
#[must_use]
pub fn told(status: &SoakStatus) -> String {
    let mut seen = Vec::new();
    let mut unseen = Vec::new();
    for watch in &status.watches {
        let name = described(watch.name);
        if let (true, Some(measured)) = (is_watched(watch), &watch.measured) {
            seen.push(format!("{name}: {measured}"));
        }
        match &watch.not_watched {
            Some(why) if is_watched(watch) => unseen.push(format!("{name}, not all of them ({why})")),
            Some(why) => unseen.push(format!("{name} ({why})")),
            None if !is_watched(watch) => {
                unseen.push(format!("{name} (too few for a judgement: {} of {SUSTAINED} intervals)", watch.judged));
            }
            None => {}
        }
    }
    let mut text = if seen.is_empty() { String::new() } else { format!("in the last interval {}", seen.join("; ")) };
    if !unseen.is_empty() {
        text.push_str(&format!("{}Not watched: {}", if text.is_empty() { "" } else { ". " }, unseen.join("; ")));
    }
    if status.resets > 0 {
        text.push_str(&format!(". The server's counters began anew {} times meanwhile", status.resets));
    }
    text
}

/// What a watch is called in messages.
#[must_use]
pub fn described(watched: Watched) -> &'static str {
    match watched {
        Watched::ForeignKeyErrors => "foreign-key errors",
        Watched::LockErrors => "lock wait timeouts and deadlocks",
        Watched::ReadLatency => "latency of SELECT",
        Watched::WriteLatency => "latency of INSERT, UPDATE and REPLACE",
        Watched::DeleteLatency => "latency of DELETE",
        Watched::LogMatches => "lines of the log",
    }
}
