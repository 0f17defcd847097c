//! Crashes: the process, or the server, is killed (SIGKILL) at every point before and after each effect, on the way up and on the way
//! back, or a moment later, while the effect is under way. A fresh process then goes on, or takes everything back (some of them are killed
//! too), and the checker that shares no code with the engine looks whether anything is lost.

mod case;
mod process;
mod scenario;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use case::{Case, Reference, Victim, Went};
use fastrand::Rng;
use process::Task;

use crate::property::setting;

/// The path of the test below, which is also how the process that is killed is started.
const TEST: &str = "crash::whatever_is_killed_at_any_point_is_brought_to_an_end";
/// Cases that once showed a defect, one a line, the defect after ` // `.
const REGRESSIONS: &str = include_str!("regressions.txt");
/// Cases at a time, as far as they do not kill the server.
const AT_ONCE: usize = 2;
/// Of so many cases those come last that kill the server.
const TOGETHER: usize = 12;
/// What is under way is interrupted so many milliseconds after the point.
const LATER: std::ops::Range<u64> = 0..40;
/// A process that takes up and is killed too lives so many milliseconds.
const AGAIN: std::ops::Range<u64> = 50..4000;

/// Every case; what chance decides, `random` does.
fn cases(reference: &Reference, random: &mut Rng) -> Vec<Case> {
    let mut cases = Vec::new();
    let tasks = [(Task::Up, &reference.up), (Task::Back, &reference.back), (Task::PutBack, &reference.put_back)];
    for (task, points) in tasks {
        for point in points {
            for victim in [Victim::Process, Victim::Server] {
                for under_way in [false, true] {
                    if under_way && !point.starts_with("before ") {
                        continue;
                    }
                    for then in [Task::Up, Task::Undo, Task::Restore] {
                        // The way back has one direction, and that by the backup two ends.
                        let possible = match task {
                            Task::Up => then != Task::Restore,
                            Task::PutBack => then != Task::Up,
                            _ => then == Task::Undo,
                        };
                        if !possible {
                            continue;
                        }
                        let then = if then == Task::Up && random.u32(0..4) == 0 { Task::UpAndBack } else { then };
                        cases.push(Case {
                            victim,
                            later: under_way.then(|| random.u64(LATER)),
                            task,
                            then,
                            beside: victim == Victim::Server && random.bool(),
                            again: (random.u32(0..4) == 0).then(|| random.u64(AGAIN)),
                            // What the application has committed is not known where its server died.
                            // And what it writes is lost with a backup.
                            writers: victim == Victim::Process && task != Task::PutBack && random.u32(0..3) == 0,
                            point: point.clone(),
                        });
                    }
                }
            }
        }
    }
    cases
}

fn regressions() -> Vec<Case> {
    let case = |line: &str| line.split(" // ").next().unwrap_or_default().trim().to_owned();
    let lines = REGRESSIONS.lines().filter(|line| !line.starts_with('#')).map(case).filter(|line| !line.is_empty());
    lines.map(|line| line.parse().unwrap()).collect()
}

/// HOLDFAST_CRASH_SECONDS says for how long (120 where nothing is said) cases are drawn, HOLDFAST_CRASH_SEED by which seed;
/// HOLDFAST_CRASH_ALL=1 runs every case, HOLDFAST_CRASH_CASE those of its lines. HOLDFAST_CRASH_KEEP leaves the schemas of failed
/// cases behind, HOLDFAST_CRASH_VERBOSE tells of every case.
#[test]
fn whatever_is_killed_at_any_point_is_brought_to_an_end() {
    if process::is_this() {
        return process::carry_out();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Box::pin(campaign()));
}

async fn campaign() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let seed = setting("HOLDFAST_CRASH_SEED").unwrap_or(now);
    let all = setting("HOLDFAST_CRASH_ALL").is_some();
    let longest = match setting("HOLDFAST_CRASH_SECONDS") {
        Some(seconds) => Duration::from_secs(seconds),
        None if all => Duration::MAX,
        None => Duration::from_secs(120),
    };
    let reference = case::reference().await.unwrap_or_else(|fault| panic!("without an interruption: {fault}"));
    let started = Instant::now();
    let mut random = Rng::with_seed(seed);
    let mut drawn = cases(&reference, &mut random);
    println!(
        "crashes: {} operations, {} points on the way up, {} on the way back, {} on that by the backup, {} cases; HOLDFAST_CRASH_SEED={seed}",
        reference.operations,
        reference.up.len(),
        reference.back.len(),
        reference.put_back.len(),
        drawn.len()
    );
    random.shuffle(&mut drawn);
    // Whoever kills the server waits for all others, who wait then: rarely is quicker.
    for some in drawn.chunks_mut(TOGETHER) {
        some.sort_by_key(|case| case.victim == Victim::Server);
    }
    let queue: Vec<Case> = match std::env::var("HOLDFAST_CRASH_CASE") {
        Ok(lines) => lines.lines().map(|line| line.parse::<Case>().unwrap()).collect(),
        Err(_) => regressions().into_iter().chain(drawn).collect(),
    };
    let total = queue.len();
    let queue = Arc::new(Mutex::new(queue.into_iter().enumerate()));
    let mut workers = Vec::new();
    for _ in 0..AT_ONCE {
        let (queue, reference) = (queue.clone(), reference.clone());
        workers.push(tokio::spawn(async move {
            let mut results = Vec::new();
            while started.elapsed() < longest {
                let Some((number, case)) = queue.lock().unwrap().next() else { break };
                let begun = Instant::now();
                let inner = (case.clone(), reference.clone());
                let went = tokio::spawn(async move { Box::pin(case::run(&inner.0, seed, &inner.1)).await });
                let went = went.await.unwrap_or_else(|panic| Err(panic.to_string()));
                if let Err(fault) = &went {
                    eprintln!("FAILED {case}\n  {fault}");
                } else if all || std::env::var_os("HOLDFAST_CRASH_VERBOSE").is_some() {
                    println!("{number}/{total} {went:?} {:.1} s {case}", begun.elapsed().as_secs_f64());
                }
                results.push((case, went));
            }
            results
        }));
    }
    let mut counts: BTreeMap<Went, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for worker in workers {
        for (case, went) in worker.await.unwrap() {
            match went {
                Ok(went) => *counts.entry(went).or_default() += 1,
                Err(_) => failed.push(case.to_string()),
            }
        }
    }
    println!("crashes in {:.0} s: {counts:?}, failed: {}", started.elapsed().as_secs_f64(), failed.len());
    assert!(
        failed.is_empty(),
        "seed {seed}: these cases failed, see above; one alone: HOLDFAST_CRASH_CASE='...'. What is mended goes to \
         tests/rollout/crash/regressions.txt:\n{}",
        failed.join("\n")
    );
    let missed = counts.get(&Went::Missed).copied().unwrap_or(0);
    let ran: u64 = counts.values().sum();
    assert!(ran > 0, "no case ended in time");
    assert!(ran < 20 || missed * 5 < ran, "too many cases did not come by their point: {counts:?}");
}
