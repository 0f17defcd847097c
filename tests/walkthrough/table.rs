//! What the walk knows of the pages: in which order a newcomer comes to their sections, what is typed otherwise than it stands there and why,
//! and what is done with each block that is no command. What a page has and this table lacks ends the walk (`script.rs`).

pub(crate) const START: &str = "docs/getting-started.md";
pub(crate) const GUIDE: &str = "docs/guide.md";
pub(crate) const README: &str = "README.md";

/// The namespace of getting started and of the guide.
pub(crate) const SHOP: &str = "shop";
/// That of the README's commands, with a server of its own.
pub(crate) const STAGING: &str = "shop-staging";
/// The migration of the guide, and of the README.
pub(crate) const MIGRATION: &str = "referential-integrity";
/// Whom getting started lets approve.
pub(crate) const APPROVER: &str = "alice@example.com";
/// Whom it lets write migrations.
pub(crate) const AUTHOR: &str = "bob@example.com";

/// A place in a page: its path, the beginning of the section's heading, and a part of the line or block. An empty part is any.
pub(crate) type Place = (&'static str, &'static str, &'static str);

/// The order of the walk. Within a section it is the page's.
pub(crate) const ROUTE: &[Place] = &[
    (START, "1.", ""),
    (START, "2.", ""),
    // Section 3 sends its reader there.
    (GUIDE, "1.", ""),
    (START, "3.", ""),
    (START, "4.", ""),
    (START, "5.", ""),
    (GUIDE, "2.", ""),
    (GUIDE, "3.", ""),
    (GUIDE, "4.", ""),
    (GUIDE, "5.", ""),
    (GUIDE, "6.", ""),
    (GUIDE, "7.", ""),
    (GUIDE, "8.", "soak"),
    (GUIDE, "8.", "approve"),
    (GUIDE, "10.", ""),
    // The other choice of section 8, once it is too late for it.
    (GUIDE, "8.", "rollback"),
    // The README is no story: its commands in an order in which one person can type them.
    (README, "Install", "helm"),
    (README, "From one environment", "keygen"),
    (README, "The kubectl plugin", "cargo install"),
    (README, "Holdfast", "kind: SchemaMigration"),
    (README, "The kubectl plugin", "lint"),
    (README, "The kubectl plugin", "kubectl apply"),
    (README, "The kubectl plugin", "status"),
    (README, "The kubectl plugin", "holdfast plan"),
    (README, "Read the plan", ""),
    (README, "The kubectl plugin", "suspend"),
    (README, "Steer", ""),
    (README, "The kubectl plugin", "approve"),
    (README, "Install", "kubectl wait"),
    (README, "The kubectl plugin", "report"),
    (README, "From one environment", "export"),
    (README, "From one environment", "verify"),
    (README, "The kubectl plugin", "init"),
    (README, "The kubectl plugin", "discover"),
    (README, "The kubectl plugin", "import"),
];

/// What is not walked.
pub(crate) const LEFT: &[(Place, &str)] = &[
    ((START, "1.", "cargo build"), "the script that starts the walk has built it, in the development profile"),
    ((START, "1.", "docker build"), "that script has built the image from the same Dockerfile, by buildah"),
    ((START, "1.", "docker push"), "the cluster has the image"),
    ((README, "The two commands", ""), "a demo of its own: make demo"),
    (
        (README, "Type fixes of your own", ""),
        "a part of a manifest for tables that the walk has not; tests/docs lints it",
    ),
    ((README, "Replicas", ""), "parts of a manifest for a server with replicas; tests/docs lints them"),
    ((README, "A backup that is proven", ""), "the guide's manifest has the same; tests/docs lints it"),
    ((README, "The kubectl plugin", "plan -f"), "it needs no cluster: tests/mysql/drafts.rs runs it on a server"),
    (
        (README, "The kubectl plugin", "WAITS FOR A LOCK"),
        "a moment that no two runs share; src/cli/golden holds such boards",
    ),
];

/// What a newcomer does with a block that is no command.
pub(crate) enum Use {
    /// Saves it under this name.
    Save(&'static str),
    /// Applies it as the cluster's administrator.
    Apply,
    /// Puts it into the manifest, and plans that under another name.
    Part,
    /// Runs it on the server as its administrator: what stands under comments with these words, or all of it.
    Run(&'static [&'static str]),
    /// Finds it in what the latest command with this beginning has shown: the whole of it, or paragraph by paragraph.
    Whole(&'static str),
    Among(&'static str),
}

pub(crate) const USES: &[(Place, Use)] = &[
    ((GUIDE, "1.", "CREATE USER"), Use::Run(&[])),
    // The walk kills nobody and has no second schema.
    ((GUIDE, "1.", "SHOW VIEW"), Use::Run(&["For a backup of type Job"])),
    ((START, "4.", "kind: Role"), Use::Apply),
    ((START, "5.", "name: first-keys"), Use::Save("migration.yaml")),
    ((GUIDE, "2.", "kind: SchemaMigration"), Use::Save("migration.yaml")),
    ((GUIDE, "2.", "addColumn"), Use::Part),
    ((GUIDE, "4.", "Plan sha256"), Use::Whole("kubectl holdfast plan ")),
    ((GUIDE, "5.", "PersistentVolumeClaim"), Use::Apply),
    ((GUIDE, "6.", "WAITS FOR APPROVAL"), Use::Among("kubectl holdfast status ")),
    ((GUIDE, "6.", "You are about to approve"), Use::Among("kubectl holdfast approve ")),
    ((GUIDE, "6.", "kind: MigrationApproval"), Use::Save("approval.yaml")),
    ((GUIDE, "8.", "soak"), Use::Part),
    ((README, "Holdfast", "kind: SchemaMigration"), Use::Save("migration.yaml")),
];

/// How a command is typed, where it is not simply typed and ends well.
pub(crate) enum Manner {
    /// On a terminal; once it has shown the first text it is given the second as an answer.
    Answered(&'static str, &'static str),
    /// In another window, where it goes on until the migration has ended, and ends well.
    Aside,
    /// Once more with the second text in place of the first, as its comment says.
    Again(&'static str, &'static str),
    /// It is refused, with these words.
    Refused(&'static str, &'static str, &'static str),
}

pub(crate) const MANNERS: &[(Place, Manner)] = &[
    ((START, "3.", "read -rs PASSWORD"), Manner::Answered("", "{password}")),
    ((GUIDE, "6.", "--before CleanUp"), Manner::Answered("Type yes", "yes")),
    ((GUIDE, "6.", "--before Copy"), Manner::Answered("Type yes", "yes")),
    ((GUIDE, "7.", "status"), Manner::Aside),
    ((GUIDE, "7.", "kubectl wait"), Manner::Aside),
    ((GUIDE, "8.", "--before Complete"), Manner::Answered("Type yes", "yes")),
    ((GUIDE, "10.", "purge"), Manner::Answered("Type referential-integrity", MIGRATION)),
    ((GUIDE, "8.", "rollback"), Manner::Refused("Type referential-integrity", MIGRATION, "refused")),
    ((README, "The kubectl plugin", "status"), Manner::Aside),
    ((README, "The kubectl plugin", "approve"), Manner::Answered("Type yes", "yes")),
    ((README, "Steer", "suspend"), Manner::Again("true", "false")),
    ((README, "The kubectl plugin", "discover"), Manner::Answered("assword", "{application}")),
];

/// What a newcomer does, or waits for, before a command.
pub(crate) enum Before {
    /// The team has a database in the namespace.
    Database,
    /// Another one, with the sample's accounts, in the namespace of the README's commands.
    Staging,
    /// Looks again until this gate waits for its approval.
    Gate(&'static str),
    /// Writes the second text in place of the first in a file.
    Edit(&'static str, &'static str, &'static str),
    /// The same, with what the latest command with this beginning has shown.
    Fill(&'static str, &'static str, &'static str),
    /// Sees what goes on in other windows end.
    Ended,
    /// Makes that server reachable as localhost.
    Forward,
}

pub(crate) const BEFORE: &[(Place, Before)] = &[
    // As soon as the namespace is there.
    ((START, "2.", "holdfast-crds"), Before::Database),
    ((GUIDE, "5.", "kubectl apply"), Before::Edit("migration.yaml", "mode: Plan", "mode: Apply")),
    ((GUIDE, "6.", "kubectl holdfast status"), Before::Gate("CleanUp")),
    ((GUIDE, "6.", "kubectl create --filename"), Before::Fill("approval.yaml", "sha256:...", "kubectl get smig ")),
    ((GUIDE, "8.", "--before Complete"), Before::Gate("Complete")),
    ((GUIDE, "10.", "purge"), Before::Ended),
    ((README, "From one environment", "keygen"), Before::Staging),
    ((README, "The kubectl plugin", "status"), Before::Gate("CleanUp")),
    ((README, "The kubectl plugin", "approve"), Before::Gate("CleanUp")),
    ((README, "From one environment", "export"), Before::Ended),
    ((README, "The kubectl plugin", "discover"), Before::Forward),
];

/// What stands in a page for the reader's own names, and where the cluster of the walk differs. In the order in which it is replaced; names in
/// braces are the walk's.
pub(crate) const SUBSTITUTIONS: &[(&str, &str, &str)] = &[
    (START, "REGISTRY/holdfast --set-string image.tag=0.1.0", "holdfast.test/operator --set-string image.tag=dev"),
    (README, "=REPOSITORY --set-string image.tag=TAG", "=holdfast.test/operator --set-string image.tag=dev"),
    (START, "cargo install --path .", "cargo install --debug --quiet --root {tools} --path {repository}"),
    (README, "cargo install --path .", "cargo install --debug --quiet --root {tools} --path {repository}"),
    (START, "\"mysql:8.4\"", "holdfast.test/mysql:9.7"),
    (GUIDE, "\"mysql:8.4\"", "holdfast.test/mysql:9.7"),
    (README, "\"mysql:8.4\"", "holdfast.test/mysql:9.7"),
    (GUIDE, "'PASSWORD'", "'{password}'"),
    (README, "namespace: shop}", "namespace: shop-staging}"),
    // As docs/promotion.md says.
    (
        README,
        "\n  gates:",
        "\n  promotion: {environment: staging, signingKeySecretRef: {name: holdfast-evidence-key, key: private.pem}}\n  gates:",
    ),
    (README, "smig/NAME", "smig/referential-integrity"),
    (README, " NAME", " referential-integrity"),
    (
        README,
        "--url mysql://reader@HOST/SCHEMA",
        "--tls-ca staging-ca.crt --url mysql://application@localhost:{port}/shop",
    ),
    (README, "--schema SCHEMA", "--schema shop"),
];

/// Who types what; everything else is the administrator's.
pub(crate) const PEOPLE: &[(&str, &str, &str)] = &[
    (GUIDE, "kubectl holdfast approve ", APPROVER),
    (GUIDE, "kubectl holdfast rollback ", APPROVER),
    (GUIDE, "kubectl holdfast purge ", APPROVER),
    (GUIDE, "kubectl create --filename approval.yaml", APPROVER),
    (GUIDE, "kubectl get smig ", APPROVER),
    (GUIDE, "kubectl wait ", APPROVER),
    (GUIDE, "kubectl apply ", AUTHOR),
    (GUIDE, "kubectl holdfast ", AUTHOR),
    (START, "kubectl apply ", AUTHOR),
    (START, "kubectl holdfast ", AUTHOR),
];
