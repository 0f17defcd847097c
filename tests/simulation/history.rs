//! One history: a time of faults and people, then rest, in which each migration must come to an end or wait for something that it names;
//! then people do what it asks for, until it has ended.

use std::collections::BTreeMap;

use holdfast::api::Reason;
use holdfast::api::conditions::{ConditionType, find, is_true};
use jiff::SignedDuration;

use crate::database::{Ending, Migration};
use crate::defects::Defect;
use crate::invariants::MOST_REMOVALS;
use crate::plans::NAMES;
use crate::world::World;

/// Steps of the time of faults at most.
const MOST_STEPS_OF_FAULTS: usize = 900;
/// Steps until something must be settled.
const MOST_STEPS_OF_REST: usize = 20_000;
/// Passes without a change of the status after which a migration that waits for a person counts as waiting.
const STILL: u32 = 6;
/// How often people do what is asked for.
const ROUNDS: u32 = 60;

/// A history without a violation.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// How the migrations ended, by reason.
    pub(crate) ends: BTreeMap<&'static str, u64>,
    pub(crate) passes: u64,
}

/// A history with one.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) violation: String,
    /// What happened, if it was asked for.
    pub(crate) trace: Vec<String>,
}

/// Runs the history of a seed. `steps`: of the time of faults, fewer than the seed says, to find the shortest that fails.
pub(crate) fn run(seed: u64, defect: Option<Defect>, traced: bool, steps: Option<usize>) -> Result<Told, Failure> {
    let mut world = World::new(seed, defect, traced);
    let said = world.rng.usize(50..MOST_STEPS_OF_FAULTS);
    let result = world.history(steps.unwrap_or(said));
    let passes = world.passes;
    match result.and_then(|()| world.ends()) {
        Ok(ends) => Ok(Told { ends, passes }),
        Err(violation) => Err(Failure { violation, trace: world.trace.take().unwrap_or_default() }),
    }
}

/// How many steps of faults the history of a seed has by itself.
pub(crate) fn steps_of_faults(seed: u64) -> usize {
    World::new(seed, None, false).rng.usize(50..MOST_STEPS_OF_FAULTS)
}

impl World {
    fn history(&mut self, steps: usize) -> Result<(), String> {
        // Some histories are calm, so that work gets far; others are not.
        let (faults, people) = (self.rng.u32(10..400), self.rng.u32(8..100));
        for _ in 0..steps {
            if self.chance(faults) {
                self.fault();
            }
            if self.chance(people) {
                self.press();
            }
            self.evidence_moves();
            self.snapshots_move();
            self.application_writes();
            self.something();
            self.check()?;
        }
        self.people = false;
        self.heal();
        for round in 0..ROUNDS {
            self.rest()?;
            let waiting: Vec<usize> = (0..2).filter(|which| self.waits(*which)).collect();
            if waiting.is_empty() {
                return Ok(());
            }
            for which in waiting {
                if !self.answer(which, round) {
                    return Err(format!("{} waits for nothing that it names: {:?}", NAMES[which], self.status(which)));
                }
            }
        }
        Err(format!("no end, although people do what is asked for: {:?}", self.open()))
    }

    /// Goes on until every migration has ended or waits for somebody.
    fn rest(&mut self) -> Result<(), String> {
        for _ in 0..MOST_STEPS_OF_REST {
            self.application_writes();
            self.something();
            self.check()?;
            if (0..2).all(|which| self.settled(which)) {
                return Ok(());
            }
        }
        Err(format!("no end within {MOST_STEPS_OF_REST} steps: {:?}", self.open()))
    }

    /// The migrations that have not ended, for people.
    fn open(&self) -> Vec<String> {
        (0..2)
            .filter(|which| !self.settled(*which) || self.waits(*which))
            .map(|which| format!("{} {:?}: {:?}", NAMES[which], self.reason(which), self.status(which).message))
            .collect()
    }

    fn gone(&self, which: usize) -> bool {
        !self.cluster.migrations.contains_key(NAMES[which])
    }

    fn quiet(&self, which: usize) -> bool {
        let Some(migration) = self.cluster.migrations.get(NAMES[which]) else { return true };
        let uid = migration.metadata.uid.as_deref().unwrap_or_default();
        let busy = self
            .processes
            .iter()
            .filter_map(|process| process.memory.get(uid))
            .any(|memory| memory.run.is_some() || memory.outcome.is_some() || memory.session.is_some());
        !busy && migration.metadata.finalizers.as_ref().is_none_or(Vec::is_empty) && self.still[which] > 1
    }

    fn settled(&self, which: usize) -> bool {
        self.gone(which)
            || (self.finished(which) && self.quiet(which) && !self.is_to_be_removed(which))
            || self.waits(which)
    }

    /// Whether its backups are to be deleted by and by.
    fn is_to_be_removed(&self, which: usize) -> bool {
        let suspended = self.cluster.migrations.get(NAMES[which]).is_some_and(|migration| migration.spec.suspend);
        self.removal_due(which).is_some()
            && !suspended
            && self
                .status(which)
                .backup
                .and_then(|backup| backup.removal)
                .is_none_or(|removal| removal.removed_at.is_none() && removal.failures < MOST_REMOVALS)
    }

    /// Whether it waits for a person, and nothing else happens.
    fn waits(&self, which: usize) -> bool {
        if self.gone(which) || self.finished(which) || self.still[which] < STILL {
            return false;
        }
        let person = [
            Reason::ApprovalPending,
            Reason::ApprovalForAnotherPlan,
            Reason::MoreRowsThanApproved,
            Reason::ApprovalPolicyMissing,
            Reason::Suspended,
            Reason::DriftDetected,
            Reason::ServerChanged,
            Reason::InvalidSpec,
            Reason::EvidencePending,
            Reason::EvidenceRefused,
            Reason::EvidenceNotWritten,
        ];
        let reason = self.reason(which);
        let for_ever = self.memories.for_ever
            && self.still[which] > 300
            && matches!(reason, Some(Reason::DependencyNotReady | Reason::DatabaseUnreachable))
            && self.status(which).started_at.is_some();
        for_ever || reason.is_some_and(|reason| person.contains(&reason))
    }

    /// What is next: a pass that is due, a step of a task, or time.
    pub(crate) fn something(&mut self) {
        self.application_moves();
        let mut due = [(0, 0); 4];
        let mut number = 0;
        for process in 0..2 {
            for (which, name) in NAMES.iter().enumerate() {
                let controller = &self.processes[process];
                let ready = controller.leads && !controller.passing[which] && controller.wakes[which] <= self.now;
                if ready && self.cluster.migrations.contains_key(name) {
                    due[number] = (process, which);
                    number += 1;
                }
            }
        }
        if number > 0 && (self.rng.u32(0..3) > 0 || self.depth > 0) {
            let (process, which) = due[self.rng.usize(0..number)];
            self.pass(process, which);
        } else {
            let process = self.rng.usize(0..2);
            let stepped = self.rng.u32(0..3) > 0 && (self.task_step(process) || self.task_step(1 - process));
            // A pass has a limit, so no hours go by in the middle of one.
            if !stepped && number == 0 && self.depth == 0 {
                self.time_passes();
            } else if self.chance(4) {
                let step = SignedDuration::from_millis(self.rng.i64(1..1500));
                self.advance(step);
            }
        }
        if self.people && self.depth > 0 && self.chance(6) {
            self.press();
        }
    }

    fn time_passes(&mut self) {
        let busy = self.processes.iter().flat_map(|process| process.memory.values()).any(|memory| memory.run.is_some());
        if busy {
            let step = SignedDuration::from_millis(self.rng.i64(1..5000));
            return self.advance(step);
        }
        let wakes = self.processes.iter().filter(|process| process.leads).flat_map(|process| {
            process.wakes.iter().enumerate().filter(|(which, _)| !self.gone(*which)).map(|(_, wake)| *wake)
        });
        let jobs = self.cluster.jobs.values().filter(|job| !job.over).map(|job| job.ends);
        let next = wakes.chain(jobs).filter(|time| *time > self.now).min();
        let step = next.map_or(SignedDuration::from_secs(60), |next| next.duration_since(self.now));
        self.advance(step);
    }

    fn advance(&mut self, step: SignedDuration) {
        self.now += step;
        self.database.advance(self.now);
        if !self.cluster.advance(self.now).is_empty() {
            (0..2).for_each(|which| self.wake(which));
        }
    }

    /// How everything ended, once all is at rest.
    fn ends(&self) -> Result<BTreeMap<&'static str, u64>, String> {
        let mut ends = BTreeMap::new();
        for (which, name) in NAMES.iter().enumerate() {
            let Some(migration) = self.cluster.migrations.get(name) else { continue };
            let status = self.status(which);
            let uid = migration.metadata.uid.as_deref().unwrap_or_default();
            if let Some((job, made)) = self.cluster.jobs.iter().find(|(_, job)| job.owner == uid && !job.over) {
                return Err(format!("{name} has ended, and its Job {job} goes on: {made:?}"));
            }
            let finished = find(&status.conditions, ConditionType::Finished);
            let reason = finished.and_then(|finished| Reason::from_name(&finished.reason));
            let Some(reason) = reason.filter(|_| is_true(&status.conditions, ConditionType::Finished)) else {
                return Err(format!("{name} has not ended: {status:?}"));
            };
            let digest = status.plan.as_ref().map(|plan| plan.digest.as_str()).unwrap_or_default();
            let left = |each: &&Migration| each.digest == digest && each.ending == Ending::Running;
            if matches!(reason, Reason::Complete | Reason::RollbackSucceeded)
                && let Some(left) = self.database.journal.iter().find(left)
            {
                return Err(format!(
                    "{name} has ended as {}, and the journal says that it has not: {left:?}",
                    reason.as_str()
                ));
            }
            let put_back = status.rollback.and_then(|rollback| rollback.put_back).is_some_and(|back| back.in_place);
            *ends.entry(if put_back { "with its backup in place" } else { reason.as_str() }).or_default() += 1;
        }
        // The server frees by itself what a dead process held.
        let held = self.database.fence.filter(|holder| self.database.connections[holder].is_none());
        if let Some(holder) = held {
            return Err(format!("everything has ended, and connection {holder} holds the fence"));
        }
        Ok(ends)
    }
}
