//! The whole world of one history: server, API server, processes, people, and the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use holdfast::api::SchemaMigration;
use holdfast::api::conditions::is_true;
use holdfast::api::{ConditionType, SchemaMigrationStatus};
use holdfast::controller::observed::{Task, TaskResult, Trouble};
use holdfast::mysql::Error;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::database::Database;
use crate::defects::Defect;
use crate::engine::{Run, Session};
use crate::invariants::Memories;
use crate::plans::{NAMES, Wish};
use crate::promotion::Promotion;
use crate::put_back::PutBacks;
use crate::snapshots::Snapshots;
use crate::soak::Soak;

/// What a process knows of one migration; lost with the process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) run: Option<Run>,
    pub(crate) outcome: Option<(Task, Result<TaskResult, Arc<Error>>)>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) session: Option<Session>,
    pub(crate) trouble: Option<Trouble>,
    /// Its migration is gone: what is held is given back once the task has ended.
    pub(crate) abandoned: bool,
}

/// A task that ran this long has got somewhere.
const LONG_RUN_SECONDS: i64 = 60;

impl Memory {
    /// Whether the task has got somewhere, so that trouble before it is over.
    pub(crate) fn advanced(&self, now: Timestamp) -> bool {
        let at_work = self.run.is_some() || self.outcome.is_some();
        at_work && self.started.is_some_and(|started| now.duration_since(started).as_secs() > LONG_RUN_SECONDS)
    }
}

/// A controller process.
#[derive(Debug, Default)]
pub(crate) struct Process {
    /// How often it was started.
    pub(crate) life: u32,
    /// Whether it believes that it holds the Lease.
    pub(crate) leads: bool,
    /// Whether it cannot reach the database.
    pub(crate) cut_off: bool,
    /// By uid.
    pub(crate) memory: BTreeMap<String, Memory>,
    /// When each migration gets its next pass.
    pub(crate) wakes: [Timestamp; 2],
    /// Migrations that are in the middle of a pass.
    pub(crate) passing: [bool; 2],
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: Timestamp,
    /// Counts what happened, to tell before from after.
    pub(crate) moment: u64,
    pub(crate) cluster: Cluster,
    pub(crate) database: Database,
    pub(crate) processes: [Process; 2],
    /// The process that holds the Lease.
    pub(crate) holder: usize,
    pub(crate) wishes: [Wish; 2],
    /// Whether faults happen.
    pub(crate) faults: bool,
    /// Whether people press buttons.
    pub(crate) people: bool,
    pub(crate) defect: Option<Defect>,
    /// What happened, for people; kept only when it is asked for.
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) violation: Option<String>,
    pub(crate) memories: Memories,
    /// How deep in a pass others act.
    pub(crate) depth: u32,
    /// Passes without a change of the status, by migration.
    pub(crate) still: [u32; 2],
    pub(crate) passes: u64,
    pub(crate) promotion: Promotion,
    pub(crate) snapshots: Snapshots,
    pub(crate) soak: Soak,
    pub(crate) put_backs: PutBacks,
}

impl World {
    /// A world from a seed.
    pub(crate) fn new(seed: u64, defect: Option<Defect>, traced: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let wish = |which, rng: &mut Rng| Wish { which, fix: rng.bool(), unique: rng.bool(), copy: rng.u32(0..8) == 0 };
        let wishes = [wish(0, &mut rng), wish(1, &mut rng)];
        let now = Timestamp::from_second(1_800_000_000 + rng.i64(0..86_400)).unwrap();
        let mut world = Self {
            now,
            rng,
            moment: 0,
            cluster: Cluster::new(),
            database: Database::new(),
            processes: Default::default(),
            holder: 0,
            wishes,
            faults: true,
            people: true,
            defect,
            trace: traced.then(Vec::new),
            violation: None,
            memories: Memories::default(),
            depth: 0,
            still: [0; 2],
            passes: 0,
            promotion: Promotion::new(seed),
            snapshots: Snapshots::new(seed),
            soak: Soak::new(seed, now),
            put_backs: PutBacks::new(seed),
        };
        world.processes[0].leads = true;
        world.create(0);
        if world.rng.u32(0..5) < 2 {
            world.create(1);
        }
        world
    }

    /// Tells what happens; the text is made only if somebody reads it.
    pub(crate) fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let line = format!("{:>5} {} {}", self.moment, self.now, text());
            trace.push(line);
        }
    }

    pub(crate) fn violated(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.tell(|| format!("VIOLATION: {text}"));
        self.violation.get_or_insert(text);
    }

    pub(crate) fn wish(&self, name: &str) -> Wish {
        self.wishes[place(name)]
    }

    /// The digest of the content part of a spec, as far as it changes here, and of the PodTemplates.
    pub(crate) fn content_digest(&self, migration: &SchemaMigration) -> String {
        let name = migration.metadata.name.as_deref().unwrap_or_default();
        format!("content-{name}-{:?}-{}", migration.spec.tests.probes, self.cluster.templates)
    }

    pub(crate) fn status(&self, which: usize) -> SchemaMigrationStatus {
        self.cluster.migrations.get(NAMES[which]).and_then(|migration| migration.status.clone()).unwrap_or_default()
    }

    pub(crate) fn finished(&self, which: usize) -> bool {
        self.cluster
            .migrations
            .get(NAMES[which])
            .and_then(|migration| migration.status.as_ref())
            .is_some_and(|status| is_true(&status.conditions, ConditionType::Finished))
    }

    /// Calls for a pass: a watch or a task has something new.
    pub(crate) fn wake(&mut self, which: usize) {
        let lag = if self.faults { SignedDuration::from_millis(self.rng.i64(0..2000)) } else { SignedDuration::ZERO };
        let soon = self.now + lag;
        for process in &mut self.processes {
            process.wakes[which] = process.wakes[which].min(soon);
        }
    }

    pub(crate) fn chance(&mut self, of: u32) -> bool {
        self.rng.u32(0..of) == 0
    }

    /// A person applies a manifest.
    pub(crate) fn create(&mut self, which: usize) {
        let manifest = self.manifest(which);
        self.tell(|| format!("{} is created: {}", NAMES[which], manifest["spec"]));
        let migration = serde_json::from_value(manifest).unwrap();
        self.cluster.create(NAMES[which], migration);
        self.still[which] = 0;
        self.wake(which);
    }

    pub(crate) fn window(&mut self) -> Value {
        json!({"start": format!("{:02}:00", self.rng.u32(0..24)), "duration": format!("{}h", self.rng.u32(1..7))})
    }

    /// A gate that a person writes.
    pub(crate) fn gate(&mut self, before: Value) -> Value {
        let (approval, window) = [(true, false), (true, false), (false, true), (true, true)][self.rng.usize(0..4)];
        let mut gate = json!({"before": before});
        if approval {
            gate["approval"] = json!("Required");
        }
        if window {
            gate["window"] = self.window();
        }
        gate
    }

    fn manifest(&mut self, which: usize) -> Value {
        let points = [
            json!({"phase": "CleanUp"}),
            json!({"phase": "CleanUp"}),
            json!({"stage": "users"}),
            json!({"phase": "AddForeignKeys"}),
            json!({"phase": "FixTypes"}),
            json!({"phase": "UpdateSchema"}),
            json!({"phase": "Test"}),
            json!({"phase": "Complete"}),
            json!({"phase": "BackUp"}),
            json!({"phase": "Rehearse"}),
            json!({"phase": "Validate"}),
            json!({"phase": "Purge"}),
        ];
        let mut gates: Vec<Value> = Vec::new();
        for _ in 0..self.rng.usize(0..4) {
            let before = points[self.rng.usize(0..points.len())].clone();
            if gates.iter().all(|gate| gate["before"] != before) {
                gates.push(self.gate(before));
            }
        }
        let stages: Vec<Value> =
            crate::plans::stages(which).iter().map(|name| json!({"name": name, "foreignKeys": []})).collect();
        let verification = ["Inspect", "None", "Restore", "Restore"][self.rng.usize(0..4)];
        let rehearsal = verification == "Restore" && self.rng.u32(0..4) > 0;
        let mut spec = json!({
            "database": {"host": "mysql", "name": "shop", "credentialsSecretRef": {"name": "s"}},
            "backup": {"type": "Job", "verification": verification, "scratch": {"image": "mysql:9.7"},
                "job": {"tool": "Mysqldump", "image": "mysql:9.7",
                    "destination": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "backups"}}}},
            "rehearsal": {"enabled": rehearsal},
            "stages": stages,
            "gates": gates,
        });
        if self.rng.u32(0..3) == 0 {
            let time = ["0ms", "90s", "2h"][self.rng.usize(0..3)];
            spec["backup"]["retention"] = json!(time);
            spec["quarantine"] = json!({"retention": time});
        }
        if self.rng.u32(0..30) == 0 {
            spec["mode"] = json!("Plan");
        }
        if self.rng.u32(0..10) < 3 {
            spec["rollback"] = json!({"onFailure": "Hold"});
        }
        if self.rng.u32(0..10) < 6 {
            spec["schemaUpdate"] = json!({"podTemplateRef": {"name": "update"}});
            if self.rng.u32(0..10) < 8 {
                spec["schemaUpdate"]["undoPodTemplateRef"] = json!({"name": "undo"});
            }
        }
        let jobs = self.rng.usize(0..3);
        let tests: Vec<Value> = ["app", "more"][..jobs]
            .iter()
            .map(|name| json!({"name": name, "podTemplateRef": {"name": name}}))
            .collect();
        if let Some(soak) = self.soak.spec() {
            spec["soak"] = soak;
            if self.soak.is_gated()
                && let Some(gates) = spec["gates"].as_array_mut()
            {
                gates.push(json!({"before": {"phase": "Soak"}, "approval": "Required"}));
            }
        }
        if let Some(promotion) = self.promotion.spec() {
            spec["promotion"] = promotion;
        }
        if let Some(backup) = self.snapshots.spec() {
            (spec["backup"], spec["rehearsal"]) = (backup, json!({"enabled": false}));
        }
        if let Some(rollback) = self.put_backs.spec()
            && spec["backup"]["type"] == "Job"
        {
            spec["rollback"] = rollback;
            spec["backup"]["verification"] = json!("Restore");
        }
        spec["tests"] = json!({"jobs": tests, "probes": if self.rng.bool() { "Derived" } else { "None" }});
        json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration",
            "metadata": {"name": NAMES[which], "namespace": "shop"}, "spec": spec})
    }
}

/// The place of a migration's name.
pub(crate) fn place(name: &str) -> usize {
    NAMES.iter().position(|each| *each == name).unwrap()
}
