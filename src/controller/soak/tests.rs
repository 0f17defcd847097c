//! Samples by hand, and what they come to.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;
use crate::mysql::soak::{ErrorCounts, StatementCount, StatementCounts};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn spec(more: serde_json::Value) -> Soak {
    let mut spec = json!({"duration": "10m"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn statement(kind: StatementKind, digest: &str, count: u64, microseconds: u64) -> StatementCount {
    StatementCount { kind, schema: "shop".to_owned(), digest: digest.to_owned(), count, microseconds }
}

fn sample(uptime_seconds: u64, foreign_keys: u64, locks: u64, statements: Vec<StatementCount>) -> Sample {
    Sample {
        uptime_seconds,
        errors: Ok(ErrorCounts { foreign_keys, locks, gap: None }),
        statements: Ok(StatementCounts { statements, gap: None }),
    }
}

fn reads(count: u64, microseconds: u64) -> Vec<StatementCount> {
    vec![statement(StatementKind::Read, "a", count, microseconds)]
}

/// 100 reads of 2 ms each, and 6 lock errors in a minute, before the first change.
fn measured() -> SoakStatus {
    let begun = begin_baseline(at(-600), &sample(1_000, 0, 4, reads(50, 1_000)));
    let baseline = end_baseline(Some(&begun), at(0), &sample(1_600, 0, 64, reads(150, 201_000)));
    SoakStatus { baseline: Some(baseline), ..SoakStatus::default() }
}

fn watch(status: &SoakStatus, name: Watched) -> SoakWatch {
    status.watches.iter().find(|watch| watch.name == name).unwrap().clone()
}

/// Takes samples in, each with its second; gives the status and the first breaches.
fn soak(spec: &Soak, samples: &[(i64, Sample)]) -> (SoakStatus, Vec<String>) {
    let mut status = measured();
    for (second, sample) in samples {
        let look = Look { at: at(*second), sample: sample.clone(), logs: None };
        let judged = judge(spec, &status, &look);
        status = judged.status;
        if !judged.breaches.is_empty() {
            return (status, judged.breaches);
        }
    }
    (status, Vec::new())
}

#[test]
fn looks_are_spread_over_the_duration_within_bounds() {
    let every = |duration: &str| pause(&spec(json!({"duration": duration}))).as_secs();
    assert_eq!((every("10s"), every("30s"), every("3m"), every("10m"), every("168h")), (5, 5, 30, 60, 60));
}

#[test]
fn before_the_first_change_only_what_happened_in_between_counts() {
    let baseline = measured().baseline.unwrap();
    assert_eq!((baseline.from.0, baseline.until.unwrap().0), (at(-600), at(0)));
    assert_eq!(baseline.lock_errors, Some(60));
    assert_eq!((baseline.statements[0].count, baseline.statements[0].microseconds), (100, 200_000));
}

#[test]
fn a_statement_that_was_hardly_executed_meanwhile_counts_with_all_that_is_known_of_it() {
    let begun = begin_baseline(at(0), &sample(1_000, 0, 0, reads(100, 50_000)));
    let baseline = end_baseline(Some(&begun), at(60), &sample(1_060, 0, 0, reads(105, 60_000)));
    assert_eq!((baseline.statements[0].count, baseline.statements[0].microseconds), (105, 60_000));
    let begun = begin_baseline(at(0), &sample(1_000, 0, 0, reads(1, 50)));
    let baseline = end_baseline(Some(&begun), at(60), &sample(1_060, 0, 0, reads(9, 450)));
    assert_eq!(baseline.statements, [], "an average of nine means nothing");
}

#[test]
fn counters_that_began_anew_before_the_first_change_count_from_there() {
    let begun = begin_baseline(at(0), &sample(1_000, 0, 40, reads(1_000, 50_000)));
    let baseline = end_baseline(Some(&begun), at(60), &sample(30, 0, 3, reads(20, 4_000)));
    assert_eq!(baseline.lock_errors, Some(3));
    assert_eq!((baseline.statements[0].count, baseline.statements[0].microseconds), (20, 4_000));
}

#[test]
fn without_a_begin_no_rate_of_lock_errors_is_known() {
    let baseline = end_baseline(None, at(0), &sample(1_000, 0, 40, reads(1_000, 50_000)));
    assert_eq!((baseline.lock_errors, baseline.statements.len()), (None, 1));
    let status = SoakStatus { baseline: Some(baseline), ..SoakStatus::default() };
    let look = Look { at: at(10), sample: sample(1_010, 0, 40, Vec::new()), logs: None };
    let judged = judge(&spec(json!({})), &status, &look);
    assert!(
        watch(&judged.status, Watched::LockErrors)
            .not_watched
            .is_some_and(|why| why.contains("before the first change"))
    );
}

#[test]
fn foreign_key_errors_are_counted_from_the_first_sample_on() {
    let good = [
        (0, sample(1_600, 500, 64, vec![])),
        (60, sample(1_660, 505, 64, vec![])),
        (120, sample(1_720, 510, 64, vec![])),
    ];
    let (status, breaches) = soak(&spec(json!({})), &good);
    assert_eq!(breaches, Vec::<String>::new());
    assert_eq!(watch(&status, Watched::ForeignKeyErrors).judged, 2);
    let (_, breaches) =
        soak(&spec(json!({})), &[(0, sample(1_600, 500, 64, vec![])), (60, sample(1_660, 506, 64, vec![]))]);
    assert!(breaches[0].contains("6 foreign-key errors"), "{breaches:?}");
    let (_, breaches) = soak(
        &spec(json!({"maxForeignKeyErrorsPerMinute": 6})),
        &[(0, sample(1_600, 500, 64, vec![])), (60, sample(1_660, 506, 64, vec![]))],
    );
    assert_eq!(breaches, Vec::<String>::new());
}

#[test]
fn a_time_shorter_than_a_minute_may_have_as_many_errors_as_a_minute() {
    let short = spec(json!({"duration": "20s"}));
    let within = |met: u64| {
        soak(
            &short,
            &[
                (0, sample(1_600, 0, 64, vec![])),
                (5, sample(1_605, 3, 64, vec![])),
                (10, sample(1_610, met, 64, vec![])),
            ],
        )
        .1
    };
    assert_eq!(within(5), Vec::<String>::new());
    assert!(within(6)[0].contains("6 foreign-key errors (1216, 1217, 1451, 1452) in the 10 s since"));
}

#[test]
fn after_a_gap_the_rate_is_that_of_the_whole_gap() {
    let after = |met: u64| {
        soak(&spec(json!({})), &[(0, sample(1_600, 0, 64, vec![])), (600, sample(2_200, met, 64, vec![]))]).1
    };
    assert_eq!(after(50), Vec::<String>::new());
    assert_eq!(after(51).len(), 1);
}

#[test]
fn lock_errors_are_held_against_their_rate_before() {
    // Six a minute before, and five more are allowed.
    let after = |met: u64| {
        soak(&spec(json!({})), &[(0, sample(1_600, 0, 64, vec![])), (60, sample(1_660, 0, 64 + met, vec![]))]).1
    };
    assert_eq!(after(11), Vec::<String>::new());
    let breaches = after(12);
    assert!(breaches[0].contains("12 lock wait timeouts and deadlocks"), "{breaches:?}");
    assert!(breaches[0].contains("beside the 6 that there were in such a time before"), "{breaches:?}");
}

#[test]
fn counters_that_are_smaller_begin_an_interval_and_are_never_negative() {
    let restarted = [
        (0, sample(1_600, 500, 64, reads(1_000, 1_000_000))),
        (60, sample(1_660, 501, 64, reads(2_000, 3_000_000))),
        (120, sample(30, 2, 0, reads(10, 10_000))),
    ];
    let (status, breaches) = soak(&spec(json!({})), &restarted);
    assert_eq!((breaches, status.resets), (Vec::new(), 1));
    let errors = watch(&status, Watched::ForeignKeyErrors);
    assert_eq!((errors.judged, errors.gaps), (1, 1), "what was lost is not counted as none: {errors:?}");
    assert!(errors.not_watched.as_ref().is_some_and(|why| why.contains("began anew")), "{errors:?}");
    assert_eq!((errors.since.unwrap().0, errors.count), (at(120), 2), "the next interval is whole");
    let latency = watch(&status, Watched::ReadLatency);
    assert_eq!(
        (latency.since.unwrap().0, latency.count, latency.beyond),
        (at(60), 0, 0),
        "the interval goes on from the sample before"
    );
    // Two clocks that differ are no restart.
    let skewed = [(0, sample(1_600, 500, 64, vec![])), (60, sample(1_610, 500, 64, vec![]))];
    assert_eq!(soak(&spec(json!({})), &skewed).1, Vec::<String>::new());
    // As many errors as before the restart.
    let same = [(0, sample(1_600, 500, 64, vec![])), (600, sample(590, 500, 64, vec![]))];
    let (status, breaches) = soak(&spec(json!({})), &same);
    assert_eq!((breaches.len(), status.resets), (1, 1), "what came after it is counted");
    // Truncated, without a restart.
    let truncated = [(0, sample(1_600, 500, 64, vec![])), (60, sample(1_660, 7, 64, vec![]))];
    let (status, breaches) = soak(&spec(json!({})), &truncated);
    assert_eq!((breaches.len(), status.resets), (1, 1), "what came after it is counted");
}

#[test]
fn counters_that_begin_anew_at_every_look_are_no_soak_without_errors() {
    let looks: Vec<(i64, Sample)> =
        (0..6_u32).map(|look| (60 * i64::from(look), sample(u64::from(50 - look), 0, 0, vec![]))).collect();
    let (status, breaches) = soak(&spec(json!({})), &looks);
    assert_eq!(breaches, Vec::<String>::new());
    for name in [Watched::ForeignKeyErrors, Watched::LockErrors] {
        assert_eq!((watch(&status, name).judged, watch(&status, name).gaps), (0, 5), "{name:?}");
    }
    assert!(!saw_something(&status), "{}", told(&status));
}

#[test]
fn what_was_lost_while_nothing_could_be_read_stays_told() {
    let blind = |uptime| Sample { errors: Err("switched off".to_owned()), ..sample(uptime, 0, 0, vec![]) };
    let looks = [
        (0, sample(1_600, 2, 64, vec![])),
        (60, blind(10)),
        // As many as before the restart, and no sign of it but what was seen then.
        (120, sample(70, 2, 0, vec![])),
        (180, sample(130, 2, 0, vec![])),
    ];
    let (status, _) = soak(&spec(json!({})), &looks);
    let errors = watch(&status, Watched::ForeignKeyErrors);
    assert_eq!((errors.judged, errors.gaps), (2, 1), "{errors:?}");
    assert!(errors.not_watched.is_some_and(|why| why.contains("began anew")));
}

#[test]
fn reads_that_became_slower_for_three_intervals_are_a_breach() {
    let intervals = |took: &[u64]| {
        let mut counters = (150_u64, 201_000_u64);
        let mut samples = vec![(0, sample(1_600, 0, 64, reads(counters.0, counters.1)))];
        for (number, took) in took.iter().enumerate() {
            counters = (counters.0 + 100, counters.1 + 100 * took);
            let second = 60 * (i64::try_from(number).unwrap() + 1);
            let uptime = 1_600 + u64::try_from(second).unwrap();
            samples.push((second, sample(uptime, 0, 64, reads(counters.0, counters.1))));
        }
        soak(&spec(json!({})), &samples)
    };
    // 2 ms before; half a millisecond more is what two readings differ by.
    assert_eq!(intervals(&[2_500, 2_500, 2_500, 2_500]).1, Vec::<String>::new());
    assert_eq!(intervals(&[2_600, 2_600, 2_000, 2_600, 2_600]).1, Vec::<String>::new(), "not in a row");
    assert_eq!(intervals(&[2_000, 90_000, 2_000]).1, Vec::<String>::new(), "one interval is no breach");
    let (status, breaches) = intervals(&[2_600, 2_600, 2_600]);
    for part in [
        "SELECT on the plan's tables",
        "maxAddedLatency.read",
        "in 3 intervals in a row",
        "2.6 ms on the average of 100 statements, 2.0 ms before",
    ] {
        assert!(breaches[0].contains(part), "{breaches:?}");
    }
    assert_eq!(watch(&status, Watched::ReadLatency).judged, 3);
}

#[test]
fn each_kind_has_its_own_threshold() {
    let kinds = [StatementKind::Read, StatementKind::Write, StatementKind::Delete];
    let all = |count: u64, took: u64| kinds.map(|kind| statement(kind, kind.as_str(), count, count * took)).to_vec();
    let begun = begin_baseline(at(-60), &sample(1, 0, 0, vec![]));
    let baseline = end_baseline(Some(&begun), at(0), &sample(61, 0, 0, all(100, 1_000)));
    let mut status = SoakStatus { baseline: Some(baseline), ..SoakStatus::default() };
    let mut breaches = Vec::new();
    // 8 ms more: too much for reads and writes, and not for deletions.
    for number in 0..4_u64 {
        let slower =
            kinds.map(|kind| statement(kind, kind.as_str(), 100 + number * 50, 100_000 + number * 50 * 9_000)).to_vec();
        let second = i64::try_from(number).unwrap() * 60;
        let look = Look { at: at(second + 1), sample: sample(62 + number * 60, 0, 0, slower), logs: None };
        let judged = judge(&spec(json!({})), &status, &look);
        (status, breaches) = (judged.status, judged.breaches);
    }
    assert_eq!(breaches.len(), 2, "{breaches:?}");
    assert!(
        breaches[0].contains("maxAddedLatency.read") && breaches[1].contains("maxAddedLatency.write"),
        "{breaches:?}"
    );
}

#[test]
fn too_few_statements_are_not_judged_and_the_interval_goes_on() {
    let (status, _) = soak(
        &spec(json!({})),
        &[
            (0, sample(1_600, 0, 64, reads(150, 201_000))),
            (60, sample(1_660, 0, 64, reads(170, 241_000))),
            (120, sample(1_720, 0, 64, reads(179, 259_000))),
        ],
    );
    let latency = watch(&status, Watched::ReadLatency);
    assert_eq!((latency.judged, latency.since.unwrap().0), (0, at(0)));
    assert!(
        told(&status).contains("latency of SELECT (too few for a judgement: 0 of 3 intervals)"),
        "{}",
        told(&status)
    );
    let (status, _) = soak(
        &spec(json!({})),
        &[
            (0, sample(1_600, 0, 64, reads(150, 201_000))),
            (60, sample(1_660, 0, 64, reads(170, 241_000))),
            (120, sample(1_720, 0, 64, reads(180, 261_000))),
        ],
    );
    assert_eq!(watch(&status, Watched::ReadLatency).judged, 1);
}

#[test]
fn more_of_a_slow_statement_is_not_slower_statements() {
    // One takes 1 ms and one 50 ms, as before; only the slow one is used more by now.
    let both = |fast: u64, slow: u64| {
        vec![
            statement(StatementKind::Read, "a", fast, fast * 1_000),
            statement(StatementKind::Read, "b", slow, slow * 50_000),
        ]
    };
    let begun = begin_baseline(at(-60), &sample(1, 0, 0, vec![]));
    let baseline = end_baseline(Some(&begun), at(0), &sample(61, 0, 0, both(1_000, 10)));
    let mut status = SoakStatus { baseline: Some(baseline), ..SoakStatus::default() };
    for number in 0..5_u64 {
        let second = i64::try_from(number).unwrap() * 60;
        let look = Look {
            at: at(second + 1),
            sample: sample(62 + number * 60, 0, 0, both(1_000, 10 + number * 100)),
            logs: None,
        };
        let judged = judge(&spec(json!({})), &status, &look);
        assert_eq!(judged.breaches, Vec::<String>::new());
        status = judged.status;
    }
    assert_eq!(watch(&status, Watched::ReadLatency).judged, 4);
}

#[test]
fn what_cannot_be_read_is_said_and_does_not_count() {
    let blind = Sample { errors: Err("no privilege".to_owned()), ..sample(1_660, 0, 0, reads(180, 261_000)) };
    let (status, breaches) = soak(
        &spec(json!({})),
        &[
            (0, Sample { errors: Err("no privilege".to_owned()), ..sample(1_600, 0, 0, reads(150, 201_000)) }),
            (60, blind),
        ],
    );
    assert_eq!(breaches, Vec::<String>::new());
    assert!(!saw_something(&status), "one interval of reads is no judgement");
    let told = told(&status);
    assert!(told.contains("foreign-key errors (no privilege)") && told.contains("deadlocks (no privilege)"), "{told}");
    let (seen, _) = soak(&spec(json!({})), &[(0, sample(1_600, 0, 64, vec![])), (60, sample(1_660, 0, 64, vec![]))]);
    assert!(saw_something(&seen));
}

#[test]
fn errors_that_were_counted_while_they_could_not_be_read_are_not_lost() {
    let unreadable = Sample { errors: Err("no privilege".to_owned()), ..sample(1_660, 0, 0, vec![]) };
    let (_, breaches) = soak(
        &spec(json!({})),
        &[(0, sample(1_600, 0, 64, vec![])), (60, unreadable), (120, sample(1_720, 11, 64, vec![]))],
    );
    assert!(breaches[0].contains("11 foreign-key errors (1216, 1217, 1451, 1452) in the 120 s since"), "{breaches:?}");
}

#[test]
fn a_gap_in_the_servers_statistics_is_told_beside_what_they_show() {
    let mut gap = sample(1_660, 0, 64, vec![]);
    gap.errors = Ok(ErrorCounts { foreign_keys: 0, locks: 64, gap: Some("3 sessions found no room".to_owned()) });
    let (status, _) = soak(&spec(json!({})), &[(0, sample(1_600, 0, 64, vec![])), (60, gap)]);
    assert!(
        told(&status).contains("foreign-key errors, not all of them (3 sessions found no room)"),
        "{}",
        told(&status)
    );
}

#[test]
fn the_same_look_twice_changes_nothing() {
    let look = Look { at: at(0), sample: sample(1_600, 0, 64, vec![]), logs: None };
    let once = judge(&spec(json!({})), &measured(), &look).status;
    assert_eq!(judge(&spec(json!({})), &once, &look).status, once);
}

#[test]
fn it_is_over_with_the_first_look_at_its_end_or_later() {
    let short = spec(json!({"duration": "20s"}));
    let (status, _) = soak(&short, &[(0, sample(1_600, 0, 64, vec![])), (19, sample(1_619, 0, 64, vec![]))]);
    assert!(!is_over(&status) && status.until.as_ref().unwrap().0 == at(20));
    let (status, _) = soak(&short, &[(0, sample(1_600, 0, 64, vec![])), (20, sample(1_620, 0, 64, vec![]))]);
    assert!(is_over(&status));
}

#[test]
fn a_log_that_was_read_in_part_stays_so_and_one_that_could_not_be_read_is_read_later() {
    let logging = spec(json!({"logs": {"selector": {"app": "shop"}, "pattern": "fk"}}));
    let after = |reads: &[Result<Option<&str>, &str>]| {
        let mut status = measured();
        for (number, read) in reads.iter().enumerate() {
            let second = 60 * i64::try_from(number).unwrap();
            let matches = |gap: Option<&str>| LogMatches {
                lines: 0,
                until: at(second),
                pods: Vec::new(),
                gap: gap.map(str::to_owned),
            };
            let logs = read.map(matches).map_err(str::to_owned);
            let uptime = 1_600 + u64::try_from(second).unwrap();
            let look = Look { at: at(second), sample: sample(uptime, 0, 64, vec![]), logs: Some(logs) };
            status = judge(&logging, &status, &look).status;
        }
        watch(&status, Watched::LogMatches)
    };
    let unread = after(&[Ok(None), Ok(None), Err("forbidden")]);
    assert_eq!((unread.not_watched.as_deref(), unread.since.unwrap().0), (Some("forbidden"), at(60)));
    assert_eq!(after(&[Ok(None), Err("forbidden"), Ok(None)]).not_watched, None);
    assert_eq!(after(&[Ok(None), Ok(Some("too much")), Ok(None)]).not_watched.as_deref(), Some("too much"));
}

#[test]
fn lines_of_the_log_add_up_and_no_line_is_told() {
    let logging = spec(json!({"logs": {"selector": {"app": "shop"}, "pattern": "fk", "maxMatches": 3}}));
    let mut status = measured();
    let mut breaches = Vec::new();
    for (second, lines) in [(0, 9), (60, 2), (120, 2)] {
        let matches = LogMatches { lines, until: at(second), pods: vec!["app-0".to_owned()], gap: None };
        let uptime = 1_600 + u64::try_from(second).unwrap();
        let look = Look { at: at(second), sample: sample(uptime, 0, 64, vec![]), logs: Some(Ok(matches)) };
        let judged = judge(&logging, &status, &look);
        (status, breaches) = (judged.status, judged.breaches);
    }
    assert_eq!(watch(&status, Watched::LogMatches).count, 4, "what was there before the soak does not count");
    assert!(breaches[0].contains("4 lines") && breaches[0].contains("app-0"), "{breaches:?}");
}
