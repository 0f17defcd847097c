//! What goes wrong by itself, or by somebody who has nothing to do with the migrations; and that it stops.

use holdfast::controller::observed::Policies;
use jiff::SignedDuration;

use crate::cluster::Fate;
use crate::database::Standing;
use crate::world::World;

impl World {
    /// One fault, or the end of one.
    pub(crate) fn fault(&mut self) {
        self.moment += 1;
        match self.rng.u32(0..20) {
            0..3 => {
                let process = self.leader();
                self.crash(process);
            }
            3..5 => {
                let down = self.database.reachable;
                self.tell(|| format!("the database {}", if down { "goes away" } else { "is back" }));
                self.database.reachable = !down;
                if down && self.rng.bool() {
                    self.restart_server();
                }
            }
            5 => {
                self.database.reachable = true;
                self.cluster.missing = None;
                if matches!(self.cluster.policies, Policies::Missing(_)) {
                    self.cluster.policies = Policies::Installed { since: self.now };
                }
                self.database.busy = false;
                self.tell(|| "what was missing is there again".to_owned());
            }
            6..8 => self.cut_off(),
            8 => {
                self.tell(|| "the Secret is deleted".to_owned());
                self.cluster.missing = Some("the Secret shop/s does not exist: create it".to_owned());
            }
            9 => {
                self.cluster.policies = Policies::Missing(vec!["p is".to_owned()]);
                self.tell(|| "the policies are uninstalled".to_owned());
            }
            10 => {
                self.database.busy = !self.database.busy;
                self.tell(|| "the server's sessions change".to_owned());
            }
            11..14 => self.lease_moves(),
            14 => self.job_deleted(),
            15 => {
                let table = self.rng.usize(0..2);
                self.database.orphans[table] += 1;
                self.tell(|| format!("the application writes an orphan into table {table}"));
            }
            16 => self.drift(),
            17 => self.template_changes(),
            18 => self.job_fails(),
            _ => self.failover(),
        }
    }

    fn leader(&self) -> usize {
        usize::from(!self.processes[0].leads)
    }

    /// The server ends every session; statements go on or are gone.
    fn restart_server(&mut self) {
        self.database.statement = None;
        self.soak.forget(self.now);
        let open: Vec<u64> = self.database.connections.keys().copied().collect();
        for connection in open {
            self.database.disconnect(connection);
        }
    }

    fn cut_off(&mut self) {
        let process = self.rng.usize(0..2);
        let cut = !self.processes[process].cut_off;
        self.tell(|| format!("process {process} is cut off from the database: {cut}"));
        self.processes[process].cut_off = cut;
        if cut {
            let sessions: Vec<u64> = self.processes[process]
                .memory
                .values()
                .filter_map(|memory| memory.session.or(memory.run.as_ref().and_then(|run| run.session)))
                .map(|session| session.connection)
                .collect();
            for connection in sessions {
                let until = self.now + SignedDuration::from_secs(self.rng.i64(0..60));
                self.database.orphan(connection, until);
            }
        }
    }

    /// The other process takes the Lease; the old leader may go on believing that it leads, until it notices and ends.
    fn lease_moves(&mut self) {
        match self.processes.each_ref().map(|process| process.leads) {
            [true, true] => {
                let process = 1 - self.holder;
                self.tell(|| format!("process {process} notices that it lost the Lease"));
                self.crash(process);
            }
            [true, false] => self.lead(1),
            _ => self.lead(0),
        }
    }

    fn lead(&mut self, process: usize) {
        self.tell(|| format!("process {process} takes the Lease, and the other one has not noticed"));
        self.processes[process].leads = true;
        self.holder = process;
        self.processes[process].wakes = [self.now; 2];
    }

    fn some_job(&mut self) -> Option<String> {
        let running: Vec<String> = self.cluster.jobs.keys().cloned().collect();
        (!running.is_empty()).then(|| running[self.rng.usize(0..running.len())].clone())
    }

    fn job_deleted(&mut self) {
        if let Some(name) = self.some_job() {
            self.tell(|| format!("somebody deletes the Job {name}"));
            self.cluster.jobs.remove(&name);
            self.memories.deleted_by_hand.insert(name);
            (0..2).for_each(|which| self.wake(which));
        }
    }

    fn job_fails(&mut self) {
        if let Some(name) = self.some_job()
            && let Some(job) = self.cluster.jobs.get_mut(&name)
            && !job.over
        {
            job.fate = Fate::Fails;
            self.tell(|| format!("the Job {name} will fail"));
        }
    }

    /// Somebody drops what a migration made, puts it back, or adds something of their own.
    fn drift(&mut self) {
        let made: Vec<String> = self
            .database
            .made_by
            .keys()
            .filter(|object| self.database.objects.contains(*object))
            .filter(|object| self.database.statement.as_ref().is_none_or(|running| running.object != **object))
            .cloned()
            .collect();
        if self.rng.bool() && !made.is_empty() {
            let object = made[self.rng.usize(0..made.len())].clone();
            self.tell(|| format!("somebody drops {object}"));
            self.database.objects.remove(&object);
            self.memories.dropped.insert(object);
        } else {
            self.tell(|| "somebody adds an index of their own".to_owned());
            self.database.objects.insert("index-of-others".to_owned());
        }
    }

    /// Puts back what somebody changed.
    pub(crate) fn repair(&mut self) {
        self.database.objects.remove("index-of-others");
        for object in std::mem::take(&mut self.memories.dropped) {
            let Some(maker) = self.database.made_by.get(&object).copied() else { continue };
            let standing = self.database.journal[maker].entry(&object).map(|entry| entry.standing);
            if standing.is_some_and(|standing| standing != Standing::Undone) {
                self.database.objects.insert(object);
            } else {
                self.database.made_by.remove(&object);
            }
        }
        self.cluster.templates = 1;
    }

    fn template_changes(&mut self) {
        self.cluster.templates = if self.cluster.templates == 1 { 2 } else { 1 };
        self.tell(|| "a PodTemplate is changed".to_owned());
    }

    fn failover(&mut self) {
        if self.rng.u32(0..4) == 0 {
            self.restart_server();
            self.database.server = format!("server-{}", self.moment);
            self.tell(|| "another server takes over".to_owned());
        }
    }

    /// Faults stop, but for those that never do.
    pub(crate) fn heal(&mut self) {
        self.faults = false;
        self.moment += 1;
        self.tell(|| "faults and people stop".to_owned());
        if self.processes.iter().all(|process| process.leads) {
            self.crash(1 - self.holder);
        }
        for process in &mut self.processes {
            process.cut_off = false;
            process.wakes = [self.now; 2];
        }
        for job in self.cluster.jobs.values_mut().filter(|job| !job.over && job.fate == Fate::Fails) {
            job.fate = Fate::Succeeds;
        }
        self.database.reachable = true;
        // Sometimes what is missing stays missing: then that must come to an end too.
        self.memories.for_ever = self.rng.u32(0..6) == 0;
        if self.memories.for_ever {
            self.database.busy = true;
            self.cluster.missing = Some("the Secret shop/s does not exist: create it".to_owned());
            self.tell(|| "the Secret is gone for ever".to_owned());
        } else {
            self.database.busy = false;
            self.cluster.missing = None;
        }
    }
}
