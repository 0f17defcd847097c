//! What is tried: each fault at the moments that matter for it, in the order in which users meet them.

use super::faults::Fault;

/// The moment of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The status shows this phase.
    Phase(&'static str),
    /// A Job of the migration has a pod that runs; how it is told.
    JobRuns(&'static str),
    /// A query on the journal of the schema, as `{schema}`, gives a number greater than 0; how it is told.
    Journal(&'static str, &'static str),
    /// From the start.
    Always,
}

impl When {
    /// As the table names it.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Phase(phase) => format!("in {phase}"),
            Self::JobRuns(told) | Self::Journal(told, _) => told.to_owned(),
            Self::Always => "from the start".to_owned(),
        }
    }
}

/// How the migration goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To its proven end.
    Forward,
    /// Its last test fails, and everything is taken back.
    Back,
}

/// The three ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    RolledBack,
    Failed,
}

/// One fault at one moment, and the ends that it may come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) fault: Fault,
    pub(crate) when: When,
    pub(crate) way: Way,
    pub(crate) ends: &'static [End],
    /// Whether it is one of the few that `make test` tries, and `make test-faults` alone.
    pub(crate) spread: bool,
}

const PLANNING: When = When::Phase("Plan");
const BACKUP: When = When::JobRuns("while the backup's Job runs");
const VALIDATING: When = When::Phase("Validate");
const CLEANING: When = When::Journal(
    "cleanup announced",
    "SELECT COUNT(*) FROM holdfast.operations o JOIN holdfast.migrations m ON m.id = o.migration WHERE m.target_schema = '{schema}' \
     AND o.definition LIKE '%\"Remove%'",
);
const UNIQUE: When = When::Journal(
    "unique constraint announced",
    "SELECT COUNT(*) FROM holdfast.operations o JOIN holdfast.migrations m ON m.id = o.migration WHERE m.target_schema = '{schema}' \
     AND o.definition LIKE '%\"AddUnique\"%'",
);
const KEY: When = When::Journal(
    "first key announced",
    "SELECT COUNT(*) FROM holdfast.operations o JOIN holdfast.migrations m ON m.id = o.migration WHERE m.target_schema = '{schema}' \
     AND o.definition LIKE '%\"AddForeignKey\"%'",
);
const KEY_THERE: When = When::Journal(
    "first key in the catalogue, not proven",
    "SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema = '{schema}'",
);
const STAGE_DONE: When = When::Journal(
    "first stage done",
    "SELECT COUNT(*) > 2 FROM holdfast.operations o JOIN holdfast.migrations m ON m.id = o.migration WHERE m.target_schema = '{schema}' \
     AND o.state = 'Done' AND o.definition LIKE '%\"AddForeignKey\"%'",
);
const KEYS_DONE: When = When::Journal(
    "last key done",
    "SELECT COUNT(*) > 3 FROM holdfast.operations o JOIN holdfast.migrations m ON m.id = o.migration WHERE m.target_schema = '{schema}' \
     AND o.state = 'Done' AND o.definition LIKE '%\"AddForeignKey\"%'",
);
const PROVEN: When = When::Journal(
    "proof recorded, not told",
    "SELECT COUNT(*) FROM holdfast.migrations WHERE target_schema = '{schema}' AND state = 'Complete'",
);
const TEST: When = When::JobRuns("while the test's Job runs");
const UNDOING: When = When::Journal(
    "first change taken back",
    "SELECT COUNT(*) FROM holdfast.operations o JOIN holdfast.migrations m ON m.id = o.migration WHERE m.target_schema = '{schema}' \
     AND o.state = 'Undone'",
);
const UNDOING_ROWS: When = When::Journal(
    "keys taken back, rows not",
    "SELECT COUNT(*) > 3 FROM holdfast.operations o JOIN holdfast.migrations m ON m.id = o.migration WHERE m.target_schema = '{schema}' \
     AND o.state = 'Undone' AND o.definition LIKE '%\"AddForeignKey\"%'",
);
const UNDONE: When = When::Journal(
    "way back recorded, not told",
    "SELECT COUNT(*) FROM holdfast.migrations WHERE target_schema = '{schema}' AND state = 'RolledBack'",
);

const fn forward(fault: Fault, when: When) -> Case {
    Case { fault, when, way: Way::Forward, ends: &[End::Complete], spread: false }
}

const fn back(fault: Fault, when: When) -> Case {
    Case { fault, when, way: Way::Back, ends: &[End::RolledBack], spread: false }
}

const fn spread(case: Case) -> Case {
    Case { spread: true, ..case }
}

const fn or(case: Case, ends: &'static [End]) -> Case {
    Case { ends, ..case }
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    forward(Fault::OperatorKilled, PLANNING),
    forward(Fault::OperatorKilled, BACKUP),
    forward(Fault::OperatorKilled, CLEANING),
    forward(Fault::OperatorKilled, UNIQUE),
    spread(forward(Fault::OperatorKilled, KEY)),
    forward(Fault::OperatorKilled, KEY_THERE),
    forward(Fault::OperatorKilled, STAGE_DONE),
    forward(Fault::OperatorKilled, KEYS_DONE),
    forward(Fault::OperatorKilled, PROVEN),
    back(Fault::OperatorKilled, TEST),
    spread(back(Fault::OperatorKilled, UNDOING)),
    back(Fault::OperatorKilled, UNDOING_ROWS),
    back(Fault::OperatorKilled, UNDONE),
    // What mysqldump had read until then is of no use, and nothing is changed yet.
    or(forward(Fault::DatabaseKilled, BACKUP), &[End::Complete, End::Failed]),
    or(forward(Fault::DatabaseKilled, VALIDATING), &[End::Complete, End::Failed]),
    forward(Fault::DatabaseKilled, CLEANING),
    spread(forward(Fault::DatabaseKilled, KEY)),
    forward(Fault::DatabaseKilled, STAGE_DONE),
    forward(Fault::DatabaseKilled, PROVEN),
    back(Fault::DatabaseKilled, UNDOING),
    forward(Fault::ConnectionCut(5), CLEANING),
    forward(Fault::ConnectionCut(30), KEY),
    back(Fault::ConnectionCut(10), UNDOING),
    forward(Fault::ApiServerStopped(20), BACKUP),
    forward(Fault::ApiServerStopped(60), KEY),
    back(Fault::ApiServerStopped(30), UNDOING),
    or(forward(Fault::JobPodDeleted, BACKUP), &[End::Complete, End::Failed]),
    or(back(Fault::JobPodDeleted, TEST), &[End::RolledBack]),
    forward(Fault::SecretDeleted(15), BACKUP),
    forward(Fault::SecretDeleted(15), KEY),
    or(forward(Fault::PasswordRotated(10), BACKUP), &[End::Complete, End::Failed]),
    forward(Fault::PasswordRotated(10), KEY),
    back(Fault::PasswordRotated(10), UNDOING),
    forward(Fault::LeaderPartitioned(45), KEY),
    back(Fault::LeaderPartitioned(45), UNDOING),
    forward(Fault::OperatorPaused(25), KEY),
    forward(Fault::ConnectionSlow(20), CLEANING),
    spread(forward(Fault::ConnectionSilent(20), KEY)),
    forward(Fault::ConnectionSilent(75), KEY),
    back(Fault::ConnectionSilent(20), UNDOING),
    forward(Fault::WindowCloses, KEY),
    or(forward(Fault::DiskFull, When::Always), &[End::Failed]),
];
