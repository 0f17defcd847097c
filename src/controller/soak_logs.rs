//! Looks for lines of trouble in the logs of the application's pods. What the lines say stays where it is: only their number and the
//! names of the pods are told.

use std::time::Duration;

use futures::{AsyncBufReadExt as _, AsyncReadExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt as _};
use regex::bytes::Regex;

use crate::api::application::SoakLogs;

use super::soak::LogMatches;
use super::work::Work;

/// Bytes that are read of one container's log in one look.
const MOST_BYTES: u64 = 4 << 20;
/// Pods whose logs are read.
const MOST_PODS: usize = 50;
/// Pods that are named.
const NAMED: usize = 3;
/// Longest time that reading one container's log may take.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Lines reach the node's log a moment after they are written.
const SETTLES: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// The time whose lines are counted: after the one, up to the other.
#[derive(Clone, Copy)]
struct Between {
    since: Timestamp,
    until: Timestamp,
}

/// What one log held.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    lines: i64,
    bytes: u64,
}

/// Counts the lines that match since the look before; the first look only marks the moment.
///
/// # Errors
/// Why no log could be read, for people.
pub(super) async fn read(
    work: &Work,
    wanted: &SoakLogs,
    since: Option<Timestamp>,
    at: Timestamp,
) -> Result<LogMatches, String> {
    let pattern = wanted.regex().map_err(|problem| format!("spec.soak.logs.pattern cannot be used: {problem}"))?;
    let namespace = work.migration.namespace().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(work.context.client.clone(), &namespace);
    let labels: Vec<String> = wanted.selector.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let labels = labels.join(",");
    let found = pods.list(&ListParams::default().labels(&labels)).await;
    let found = found.map_err(|error| told(&error, &format!("listing the pods with {labels}"), "list pods"))?.items;
    if found.is_empty() {
        return Err(format!(
            "no pod of the namespace {namespace} has the labels {labels}: correct spec.soak.logs.selector"
        ));
    }
    let Some(since) = since else { return Ok(LogMatches { lines: 0, until: at, pods: Vec::new(), gap: None }) };
    let until = at.checked_sub(SETTLES).unwrap_or(at).max(since);
    let between = Between { since, until };
    let mut matches = LogMatches { lines: 0, until, pods: Vec::new(), gap: None };
    let mut gaps = Vec::new();
    if found.len() > MOST_PODS {
        gaps.push(format!("of {} pods only the first {MOST_PODS} are read", found.len()));
    }
    for pod in found.iter().take(MOST_PODS) {
        let name = pod.name_any();
        let mut lines = 0;
        let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        for (container, previous) in containers.flat_map(|container| logs_of(container, since)) {
            if work.stop.check().is_err() {
                return Err("stopped".to_owned());
            }
            let reading = count(&pods, &name, (&container, previous), &pattern, between);
            match tokio::time::timeout(READ_LIMIT, reading).await {
                Ok(Ok(counted)) => {
                    lines += counted.lines;
                    if counted.bytes >= MOST_BYTES {
                        gaps.push(format!("{name} wrote more than {} MiB since the look before", MOST_BYTES >> 20));
                    }
                }
                // Nothing of this time counts as read: it is read again by the next look.
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(format!("the log of {name} was not read within {} s", READ_LIMIT.as_secs())),
            }
        }
        if lines > 0 && matches.pods.len() < NAMED {
            matches.pods.push(name);
        }
        matches.lines += lines;
    }
    gaps.sort();
    matches.gap = (!gaps.is_empty()).then(|| gaps.join("; "));
    Ok(matches)
}

/// The logs of a container that may hold lines of the time: its own, and that of the run before if it ended since.
fn logs_of(container: &ContainerStatus, since: Timestamp) -> Vec<(String, bool)> {
    let waits = container.state.as_ref().is_some_and(|state| state.waiting.is_some());
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.finished_at.as_ref());
    let before = ended.is_some_and(|ended| ended.0 >= since);
    let logs = [(!waits, false), (before, true)];
    logs.into_iter().filter(|(there, _)| *there).map(|(_, previous)| (container.name.clone(), previous)).collect()
}

async fn count(
    pods: &Api<Pod>,
    pod: &str,
    (container, previous): (&str, bool),
    pattern: &Regex,
    between: Between,
) -> Result<Counted, String> {
    let parameters = LogParams {
        container: Some(container.to_owned()),
        previous,
        timestamps: true,
        since_time: Some(between.since),
        limit_bytes: i64::try_from(MOST_BYTES).ok(),
        ..LogParams::default()
    };
    let what = || format!("reading the log of {pod}, container {container}");
    let stream = match pods.log_stream(pod, &parameters).await {
        Ok(stream) => stream,
        // A pod that is gone by now has no log either.
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Counted::default()),
        Err(error) => return Err(told(&error, &what(), "get pods/log")),
    };
    // Each line is thrown away before the next one is read.
    let mut lines = Box::pin(stream.take(MOST_BYTES));
    let (mut counted, mut line) = (Counted::default(), Vec::new());
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).await.map_err(|error| format!("{}: {error}", what()))?;
        if read == 0 {
            return Ok(counted);
        }
        counted.bytes += read as u64;
        counted.lines += i64::from(matches(&line, pattern, between));
    }
}

/// Whether a line, with the time before it, is of that time and matches. One whose time cannot be read counts as being of it.
fn matches(line: &[u8], pattern: &Regex, between: Between) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let time_ends = line.iter().position(|byte| *byte == b' ');
    let time = time_ends.and_then(|end| std::str::from_utf8(&line[..end]).ok()?.parse::<Timestamp>().ok());
    let (text, of_the_time) = match (time, time_ends) {
        (Some(time), Some(end)) => (&line[end + 1..], time > between.since && time <= between.until),
        _ => (line, true),
    };
    of_the_time && pattern.is_match(text)
}

fn told(error: &kube::Error, what: &str, right: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("{what}: the operator may not {right} there: grant it, as the chart does")
        }
        error => format!("{what}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn between() -> Between {
        Between { since: "2026-11-29T12:00:00Z".parse().unwrap(), until: "2026-11-29T12:01:00Z".parse().unwrap() }
    }

    #[test]
    fn only_lines_of_the_time_that_match_are_counted() {
        let pattern = Regex::new("foreign key").unwrap();
        let counts = |line: &[u8]| matches(line, &pattern, between());
        assert!(counts(b"2026-11-29T12:00:30.123456789Z a foreign key constraint fails\n"));
        assert!(counts(b"2026-11-29T12:01:00Z foreign key"));
        assert!(counts(b"2026-11-29T12:00:30Z \xff foreign key"), "bytes that are no text do not hide a line");
        assert!(!counts(b"2026-11-29T12:00:00Z foreign key"), "the look before has counted it");
        assert!(!counts(b"2026-11-29T12:01:00.1Z foreign key"), "the next look counts it");
        assert!(!counts(b"2026-11-29T12:00:30Z all is well"));
        assert!(counts(b"a foreign key without a time"));
    }

    #[test]
    fn the_time_before_a_line_is_no_part_of_it() {
        let pattern = Regex::new("^2026|12:00").unwrap();
        assert!(!matches(b"2026-11-29T12:00:30Z all is well", &pattern, between()));
    }

    #[test]
    fn the_log_of_a_run_that_ended_meanwhile_is_read_too() {
        let container = |state: serde_json::Value, finished: &str| -> ContainerStatus {
            serde_json::from_value(
                json!({"name": "app", "image": "i", "imageID": "i", "ready": true, "restartCount": 1, "state": state,
                "lastState": {"terminated": {"exitCode": 1, "finishedAt": finished}}}),
            )
            .unwrap()
        };
        let read = |state, finished| {
            logs_of(&container(state, finished), between().since)
                .into_iter()
                .map(|(_, previous)| previous)
                .collect::<Vec<_>>()
        };
        assert_eq!(read(json!({"running": {}}), "2026-11-29T11:00:00Z"), [false]);
        assert_eq!(read(json!({"running": {}}), "2026-11-29T12:00:20Z"), [false, true]);
        assert_eq!(read(json!({"waiting": {}}), "2026-11-29T12:00:20Z"), [true]);
    }
}
