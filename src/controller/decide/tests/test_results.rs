//! The results that a test Job wrote: what they come to beside its exit status.

use super::world::World;
use crate::api::conditions::find;
use crate::api::status::{JobPurpose, JobState, TestResults};
use crate::api::{ConditionType, Reason};

const PASSED: &str = r#"{"testResults":{"tests":9,"failed":0,"skipped":1}}"#;
const FAILED: &str = r#"{"testResults":{"tests":9,"failed":2,"skipped":0,"failures":["a county","a user"]}}"#;
const UNREADABLE: &str = r#"{"unreadableTestResults":"junit.xml: ends in the middle"}"#;

fn ended(succeeds: bool, left: &'static str) -> (Reason, String, JobState, Option<TestResults>) {
    let mut world = World::new(|_| {});
    world.left_by_tests = Some((succeeds, left));
    let reason = world.run(&[]);
    let status = world.status();
    let job = status.jobs.iter().find(|job| job.purpose == JobPurpose::Test).unwrap();
    let told = find(&status.conditions, ConditionType::Tested).unwrap().message.clone();
    (reason, told, job.state, job.results.clone())
}

#[test]
fn tests_that_passed_are_counted() {
    let (reason, told, state, results) = ended(true, PASSED);
    assert_eq!((reason, state), (Reason::Complete, JobState::Succeeded));
    assert!(told.contains("all 1 test Jobs passed (9 tests, 1 of them skipped)"), "{told}");
    assert_eq!(results, Some(TestResults { tests: 9, failed: 0, skipped: 1, failures: Vec::new() }));
}

#[test]
fn tests_that_failed_are_named_before_the_log() {
    let (reason, told, state, results) = ended(false, FAILED);
    assert_eq!((reason, state), (Reason::RollbackSucceeded, JobState::Failed));
    assert!(told.contains("2 of 9 tests failed (\"a county\", \"a user\"): the Job "), "{told}");
    assert!(told.contains("BackoffLimitExceeded: boom") && !told.contains("testResults"), "{told}");
    assert_eq!(results.unwrap().failures, ["a county", "a user"]);
}

#[test]
fn a_job_that_succeeds_although_tests_failed_or_cannot_be_counted_has_failed() {
    let (reason, told, state, results) = ended(true, FAILED);
    assert_eq!((reason, state), (Reason::RollbackSucceeded, JobState::Failed));
    assert!(told.contains("although its Job") && told.contains("2 of 9 tests failed"), "{told}");
    assert_eq!(results.unwrap().failed, 2);

    let (reason, told, state, results) = ended(true, UNREADABLE);
    assert_eq!((reason, state, results), (Reason::RollbackSucceeded, JobState::Failed, None));
    assert!(told.contains("its results cannot be read: junit.xml: ends in the middle"), "{told}");
}

#[test]
fn what_a_program_says_itself_is_no_count() {
    let (reason, told, _, results) = ended(false, "the application said why");
    assert_eq!((reason, results), (Reason::RollbackSucceeded, None));
    assert!(told.contains("BackoffLimitExceeded: the application said why"), "{told}");
}
