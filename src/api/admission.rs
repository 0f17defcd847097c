//! Names of the admission policies that the chart installs. The operator looks for them: without them nobody checks who
//! approves, so gates stay closed.

/// A ValidatingAdmissionPolicy and its binding, which have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionPolicy {
    /// Name of the policy and of its binding.
    pub name: &'static str,
    /// What it ensures.
    pub ensures: &'static str,
}

/// An approval bears the name of the user who creates it.
pub const APPROVED_BY: AdmissionPolicy = AdmissionPolicy {
    name: "holdfast-approved-by",
    ensures: "spec.approvedBy of a MigrationApproval is the user who creates it",
};

/// Gates, suspension, rollback strategy and steering annotations change only by the verb `approve`.
pub const STEERING: AdmissionPolicy = AdmissionPolicy {
    name: "holdfast-steering",
    ensures: "changing gates, suspend, rollback or a steering annotation needs the verb approve on schemamigrations",
};

/// Authors have the rights that the operator uses for them.
pub const AUTHORS: AdmissionPolicy = AdmissionPolicy {
    name: "holdfast-authors",
    ensures: "the author of a SchemaMigration may create Jobs and get the Secrets that it names",
};

/// The administrator's gates are in every migration. Installed only where the chart's value `requiredGates` names some.
pub const REQUIRED_GATES: AdmissionPolicy = AdmissionPolicy {
    name: "holdfast-required-gates",
    ensures: "a SchemaMigration has the gates that the administrator requires",
};

/// The policies without which gates stay closed.
pub const NEEDED: [AdmissionPolicy; 3] = [APPROVED_BY, STEERING, AUTHORS];
