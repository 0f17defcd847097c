//! Histories by the thousand, and the defects that they must find.
//!
//! `HOLDFAST_SIMULATION_SECONDS` sets for how long random histories run, `HOLDFAST_SIMULATION_CASES` how many instead, and
//! `HOLDFAST_SIMULATION_SEED` runs one and prints it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::defects::Defect;
use crate::history::{self, Failure};
use crate::promotion::Promotion;
use crate::put_back::PutBacks;
use crate::snapshots::Snapshots;
use crate::soak::Soak;

/// Seeds that once showed a defect, one a line, the defect after `#`.
const REGRESSIONS: &str = include_str!("regressions.txt");
const SECONDS: u64 = 30;
/// Histories within which a defect must be found.
const HISTORIES_FOR_A_DEFECT: u64 = 600;
/// Lines of a history's end that are printed.
const LINES: usize = 200;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

/// The history of a seed that fails, as short as leaving out the end of its faults makes it.
fn told(seed: u64, first: &Failure) -> String {
    let (mut least, mut most) = (0, history::steps_of_faults(seed));
    while least < most {
        let middle = usize::midpoint(least, most);
        if history::run(seed, None, false, Some(middle)).is_err() { most = middle } else { least = middle + 1 }
    }
    let failure = match history::run(seed, None, true, Some(most)) {
        Err(shorter) => shorter,
        Ok(_) => match history::run(seed, None, true, None) {
            Err(whole) => whole,
            Ok(_) => return format!("seed {seed}: {}, and it does not happen again", first.violation),
        },
    };
    let from = failure.trace.len().saturating_sub(LINES);
    let lines = failure.trace[from..].join("\n");
    format!("seed {seed}, {most} steps of faults: {}\n{lines}\nseed {seed}: {}", failure.violation, failure.violation)
}

#[test]
fn seeds_that_once_failed() {
    let seeds = REGRESSIONS.lines().filter_map(|line| line.split('#').next()).map(str::trim);
    for seed in seeds.filter(|seed| !seed.is_empty()) {
        let seed = seed.parse().unwrap();
        let used = Promotion::new(seed).is_used()
            || Soak::new(seed, Timestamp::UNIX_EPOCH).is_used()
            || Snapshots::new(seed).is_used()
            || PutBacks::new(seed).is_used();
        assert!(!used, "{seed} is no more the history that it was: choose another constant");
        if let Err(failure) = history::run(seed, None, false, None) {
            panic!("{}", told(seed, &failure));
        }
    }
}

#[test]
fn every_history_keeps_the_invariants_and_ends() {
    if let Some(seed) = setting("HOLDFAST_SIMULATION_SEED") {
        match history::run(seed, None, false, None) {
            Ok(told) => println!("seed {seed}: {told:?}"),
            Err(failure) => panic!("{}", told(seed, &failure)),
        }
        return;
    }
    let cases = setting("HOLDFAST_SIMULATION_CASES");
    let limit = Duration::from_secs(setting("HOLDFAST_SIMULATION_SECONDS").unwrap_or(SECONDS));
    let first = setting("HOLDFAST_SIMULATION_FIRST").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
    });
    let (next, passes, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let failures: Mutex<Vec<(u64, Failure)>> = Mutex::default();
    let ends: Mutex<BTreeMap<&'static str, u64>> = Mutex::default();
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let over = cases.map_or_else(|| started.elapsed() >= limit, |cases| number >= cases);
                    if over {
                        next.fetch_sub(1, Ordering::Relaxed);
                        return;
                    }
                    match history::run(first + number, None, false, None) {
                        Ok(told) => {
                            passes.fetch_add(told.passes, Ordering::Relaxed);
                            let mut sum = ends.lock().unwrap();
                            for (end, count) in told.ends {
                                *sum.entry(end).or_default() += count;
                            }
                        }
                        Err(failure) => {
                            failed.store(true, Ordering::Relaxed);
                            failures.lock().unwrap().push((first + number, failure));
                        }
                    }
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let (histories, passes) = (next.into_inner(), passes.into_inner());
    println!(
        "{histories} histories from seed {first} in {seconds:.1} s: {:.0} a second, {passes} passes. Ends: {:?}",
        histories as f64 / seconds,
        ends.into_inner().unwrap()
    );
    if let Some((seed, failure)) = failures.into_inner().unwrap().into_iter().min_by_key(|(seed, _)| *seed) {
        panic!("{}", told(seed, &failure));
    }
}

/// The number of histories after which a broken code is found, and by what.
fn found(defect: Defect, words: &[&str]) {
    for seed in 0..HISTORIES_FOR_A_DEFECT {
        if let Err(failure) = history::run(seed, Some(defect), false, None) {
            println!("{defect:?}: found by history {seed}: {}", failure.violation);
            assert!(
                words.iter().any(|word| failure.violation.contains(word)),
                "for another reason: {}",
                failure.violation
            );
            return;
        }
    }
    panic!("{defect:?} is not found within {HISTORIES_FOR_A_DEFECT} histories");
}

#[test]
fn a_gate_that_is_skipped_is_found() {
    found(Defect::GateSkipped, &["before its gate", "outside"]);
}

#[test]
fn evidence_that_is_not_looked_at_is_found() {
    found(Defect::EvidenceSkipped, &["no evidence of"]);
}

#[test]
fn a_snapshot_that_is_not_ready_is_found() {
    found(Defect::SnapshotTrusted, &["is not ready"]);
}

#[test]
fn a_status_that_is_written_over_a_newer_one_is_found() {
    found(Defect::ConflictIgnored, &[""]);
}

#[test]
fn an_effect_that_is_repeated_after_a_crash_is_found() {
    found(Defect::EffectRepeated, &["made twice"]);
}

#[test]
fn an_end_that_is_recorded_before_its_proof_is_found() {
    found(Defect::SuccessBeforeProof, &["Complete, and"]);
}

#[test]
fn a_lock_that_is_ignored_is_found() {
    found(Defect::LockIgnored, &["second writer", "writes into", "at once", "twice"]);
}

#[test]
fn a_rollback_that_stops_early_is_found() {
    found(Defect::RollbackStopsEarly, &["RolledBack, and"]);
}

#[test]
fn a_name_of_a_job_that_is_used_again_is_found() {
    found(Defect::JobNameReused, &["none was made for it"]);
}

#[test]
fn a_request_that_is_acted_on_twice_is_found() {
    found(Defect::TokenTwice, &["acted on twice"]);
}

#[test]
fn a_stale_observation_that_is_trusted_is_found() {
    found(Defect::StaleTrusted, &[""]);
}

#[test]
fn a_deadline_that_is_never_reached_is_found() {
    found(Defect::NoDeadline, &["no end"]);
}

#[test]
fn errors_of_the_application_that_are_overlooked_are_found() {
    found(Defect::ErrorsOverlooked, &["Soaked, and the application met errors"]);
}

#[test]
fn a_soak_that_is_cut_short_is_found() {
    found(Defect::SoakCutShort, &["Soaked before its time"]);
}

#[test]
fn a_backup_that_is_put_back_unasked_is_found() {
    found(Defect::LossUnasked, &["before anybody approved what is lost"]);
}

#[test]
fn a_loss_that_is_not_held_against_the_approval_is_found() {
    found(Defect::LossOverlooked, &["more than anybody approved"]);
}

#[test]
fn an_exchange_of_tables_that_is_forgotten_is_found() {
    found(Defect::ExchangeForgotten, &["already", "twice"]);
}

#[test]
fn a_lease_that_is_not_looked_at_again_is_found() {
    found(Defect::LeaseTrusted, &["does not lead"]);
}
