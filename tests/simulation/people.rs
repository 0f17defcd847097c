//! People: they approve, deny, suspend, edit, annotate, delete and create again, at random; and in the end they do what a message asks for.

use holdfast::api::backup::Verification;
use holdfast::api::gates::{Before, GatedPhase, OnFailure};
use holdfast::api::status::GateState;
use holdfast::api::steering::SteeringAction;
use holdfast::api::{MigrationApproval, Reason};
use holdfast::controller::observed::Policies;
use serde_json::{Value, json};

use crate::plans::NAMES;
use crate::put_back::Answer;
use crate::world::World;

impl World {
    fn digest(&self, which: usize) -> String {
        self.status(which).plan.map(|plan| plan.digest).unwrap_or_else(|| format!("sha256:{}", "0".repeat(64)))
    }

    /// A person decides on a gate.
    pub(crate) fn decide_on(&mut self, which: usize, before: Value, digest: &str, approve: bool, rows: Option<i64>) {
        let decision = if approve { "Approve" } else { "Deny" };
        self.tell(|| format!("somebody: {decision} {} before {before} for {digest}, rows {rows:?}", NAMES[which]));
        let approval = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval",
            "metadata": {"name": format!("a{}", self.moment), "creationTimestamp": self.now},
            "spec": {"migrationRef": {"name": NAMES[which]}, "before": before, "decision": decision,
                "planDigest": digest, "maxRows": rows, "approvedBy": "alice"}});
        let approval: MigrationApproval = serde_json::from_value(approval).unwrap();
        self.memories.approvals.push(approval.clone());
        self.cluster.approvals.push(approval);
        self.wake(which);
    }

    /// A person asks for something by an annotation, with a token that was never used.
    pub(crate) fn ask(&mut self, which: usize, action: SteeringAction) {
        let token = format!("token-{}", self.moment);
        self.tell(|| format!("somebody asks {} to {action} ({token})", NAMES[which]));
        self.cluster.edit(NAMES[which], |migration| {
            migration.metadata.annotations.get_or_insert_default().insert(action.annotation().to_owned(), token);
        });
        self.wake(which);
    }

    /// One button is pressed.
    pub(crate) fn press(&mut self) {
        self.moment += 1;
        let which = self.rng.usize(0..2);
        if !self.cluster.migrations.contains_key(NAMES[which]) {
            if self.chance(3) && (which == 0 || self.cluster.uids > 1) {
                self.create(which);
            }
            return;
        }
        match self.rng.u32(0..30) {
            0..12 => self.approve_something(which),
            12 => {
                let digest = self.digest(which);
                let before = self.points(which).remove(0);
                self.decide_on(which, before, &digest, false, None);
            }
            13 => {
                if !self.cluster.approvals.is_empty() {
                    let at = self.rng.usize(0..self.cluster.approvals.len());
                    self.tell(|| "somebody deletes an approval".to_owned());
                    self.cluster.approvals.remove(at);
                }
            }
            14..17 => self.suspend(which),
            17..24 => {
                let actions = [
                    SteeringAction::Retry,
                    SteeringAction::Retry,
                    SteeringAction::Abort,
                    SteeringAction::Rollback,
                    SteeringAction::Replan,
                    SteeringAction::Purge,
                ];
                let action = actions[self.rng.usize(0..actions.len())];
                self.ask(which, action);
            }
            24..26 => self.edit_policy(which),
            26..28 => self.edit_content(which),
            28 => {
                self.tell(|| format!("somebody deletes {}", NAMES[which]));
                self.cluster.delete(NAMES[which], self.now);
                self.wake(which);
            }
            _ => self.abort_and_more(which),
        }
    }

    /// Several requests at once.
    fn abort_and_more(&mut self, which: usize) {
        self.ask(which, SteeringAction::Retry);
        self.moment += 1;
        self.ask(which, SteeringAction::Rollback);
    }

    /// What gates of the spec stand before, and what is gated always.
    fn points(&mut self, which: usize) -> Vec<Value> {
        let gates = self.cluster.migrations.get(NAMES[which]).map(|migration| migration.spec.gates.clone());
        let mut points: Vec<Value> =
            gates.unwrap_or_default().iter().map(|gate| serde_json::to_value(&gate.before).unwrap()).collect();
        points.push(json!({"phase": "Copy"}));
        points.push(json!({"phase": "CleanUp"}));
        if self.put_backs.is_used() {
            points.push(json!({"phase": "RestoreBackup"}));
        }
        self.rng.shuffle(&mut points);
        points
    }

    fn approve_something(&mut self, which: usize) {
        let mut digest = self.digest(which);
        if self.chance(10) {
            digest = format!("sha256:{}", "f".repeat(64));
        }
        let rows = [None, Some(1), Some(3), Some(100), Some(100)][self.rng.usize(0..5)];
        let before = self.points(which).remove(0);
        let losing = before == json!({"phase": "RestoreBackup"});
        let rows = if losing { Some(self.told_loss(which)) } else { rows };
        self.decide_on(which, before, &digest, true, rows);
    }

    fn suspend(&mut self, which: usize) {
        self.cluster.edit(NAMES[which], |migration| migration.spec.suspend = !migration.spec.suspend);
        self.tell(|| format!("somebody suspends {} or lets it go on", NAMES[which]));
        self.wake(which);
    }

    /// Gates, their windows and the strategy of the rollback, which may change at any time.
    fn edit_policy(&mut self, which: usize) {
        let before = self.points(which).remove(0);
        let gate = self.gate(before);
        let remove = self.rng.bool();
        self.tell(|| format!("somebody edits the policy of {}: {gate}, removed {remove}", NAMES[which]));
        let hold = self.chance(4);
        let backup = self.put_backs.strategy();
        self.cluster.edit(NAMES[which], |migration| {
            let before: Before = serde_json::from_value(gate["before"].clone()).unwrap();
            migration.spec.gates.retain(|present| present.before != before);
            if !remove {
                migration.spec.gates.push(serde_json::from_value(gate).unwrap());
            }
            if hold {
                migration.spec.rollback.on_failure = OnFailure::Hold;
            }
            // Other specs the API server refuses.
            let proven = migration.spec.backup.verification == Verification::Restore;
            if let Some(strategy) = backup.filter(|_| proven) {
                migration.spec.rollback.on_failure = strategy;
            }
        });
        self.wake(which);
    }

    /// The content, which the API server lets change before the first change only.
    fn edit_content(&mut self, which: usize) {
        if self.status(which).started_at.is_some() {
            return;
        }
        use holdfast::api::application::Probes;
        use holdfast::api::spec::Mode;
        let mode = self.chance(8);
        self.tell(|| format!("somebody edits {}", NAMES[which]));
        self.cluster.edit(NAMES[which], |migration| {
            if mode {
                migration.spec.mode = if migration.spec.mode == Mode::Plan { Mode::Apply } else { Mode::Plan };
                return;
            }
            let probes = &mut migration.spec.tests.probes;
            *probes = if *probes == Probes::None { Probes::Derived } else { Probes::None };
        });
        self.wake(which);
    }

    /// Does what the message of a wait asks for; whether the wait is one that names something to do.
    pub(crate) fn answer(&mut self, which: usize, round: u32) -> bool {
        self.moment += 1;
        let Some(reason) = self.reason(which) else { return false };
        match reason {
            Reason::ApprovalPending | Reason::ApprovalForAnotherPlan | Reason::MoreRowsThanApproved => {
                let digest = self.digest(which);
                let closed: Vec<Before> = self
                    .status(which)
                    .gates
                    .into_iter()
                    .filter(|gate| gate.state == GateState::Closed)
                    .map(|gate| gate.before)
                    .collect();
                for before in &closed {
                    let losing = *before == Before::from(GatedPhase::RestoreBackup);
                    let answer = if losing { self.put_backs.answer() } else { Answer::Approve(1_000_000) };
                    let told = if losing { self.told_loss(which) } else { 0 };
                    let before = serde_json::to_value(before).unwrap();
                    match answer {
                        Answer::Approve(more) => self.decide_on(which, before, &digest, true, Some(told + more)),
                        Answer::Deny => self.decide_on(which, before, &digest, false, None),
                        Answer::Undo => self.ask(which, SteeringAction::Rollback),
                    }
                }
                // A copy that the gates do not show is asked for by its message.
                if closed.is_empty() {
                    let copy = serde_json::to_value(Before::from(GatedPhase::Copy)).unwrap();
                    self.decide_on(which, copy, &digest, true, None);
                }
            }
            Reason::ApprovalPolicyMissing => {
                self.tell(|| "somebody installs the policies".to_owned());
                self.cluster.policies = Policies::Installed { since: self.now };
                self.wake(which);
            }
            Reason::Suspended => self.suspend(which),
            Reason::DriftDetected if round.is_multiple_of(2) => {
                self.tell(|| "somebody repairs what drifted".to_owned());
                self.repair();
                self.wake(which);
            }
            Reason::DriftDetected => self.ask(which, SteeringAction::Rollback),
            Reason::ServerChanged => self.ask(which, SteeringAction::Retry),
            Reason::EvidencePending | Reason::EvidenceRefused | Reason::EvidenceNotWritten => {
                self.answer_evidence(which, reason);
            }
            Reason::InvalidSpec => {
                self.tell(|| format!("somebody takes the windows of {} away", NAMES[which]));
                self.cluster.edit(NAMES[which], |migration| migration.spec.gates.retain(|gate| gate.window.is_none()));
                self.wake(which);
            }
            Reason::DependencyNotReady | Reason::DatabaseUnreachable if self.memories.for_ever => {
                self.tell(|| "somebody brings back what was gone".to_owned());
                self.memories.for_ever = false;
                self.cluster.missing = None;
                self.database.busy = false;
                self.wake(which);
            }
            _ => return false,
        }
        true
    }
}
