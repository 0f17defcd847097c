//! `report`: reads what the cluster has of one migration and writes the page about it. What may not be read is named on the page.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use super::connection::{Cluster, failed};
use super::database::{self, Database, Flags};
use super::failure::Failure;
use super::terminal::{self, print};
use crate::api::{MigrationApproval, SchemaMigration};
use crate::controller::{plan_store, target};
use crate::evidence::{EVIDENCE_KEY, Signed};
use crate::mysql::{JournalEntry, history};
use crate::plan::Plan;
use crate::report::{Kind, Read, Report, Sources, page, text};

/// Events that are asked for; a cluster keeps them for a while only.
const EVENTS: u32 = 500;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the SchemaMigration.
    name: String,
    /// Write one HTML file that needs nothing else: for a browser, a mail or a ticket.
    #[arg(long, conflicts_with = "format")]
    html: bool,
    /// What to write without --html.
    #[arg(long, short = 'o', value_enum, default_value_t = Format::Text)]
    format: Format,
    /// File to write it to. Left out: standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With these, what each operation took and locked is read from the journal, too.
    #[command(flatten)]
    database: Flags,
}

/// Forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For tools.
    Json,
}

/// Writes the report.
///
/// # Errors
/// When the migration cannot be read, or the file cannot be written.
pub async fn run(cluster: &Cluster, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.html && arguments.output.is_none() && terminal::is_terminal() {
        return Err(Failure::usage("a page of HTML is of no use on a terminal: name a file with --output"));
    }
    let mut objects = Objects::read(cluster, &arguments.name, &Plans::default()).await?;
    if arguments.database.names_a_server() {
        objects.journal = Some(journal(&objects.migration, &arguments.database.database()?).await?);
    }
    let report = objects.report(Timestamp::now());
    let written = match (arguments.html, arguments.format) {
        (true, _) => page(&report, Kind::File).0,
        (false, Format::Text) => text(&report),
        (false, Format::Json) => {
            let text = serde_json::to_string_pretty(&report);
            text.map_err(|error| Failure::unavailable(format!("writing the report: {error}")))? + "\n"
        }
    };
    let Some(file) = &arguments.output else { return print(&written) };
    fs::write(file, &written).map_err(|error| {
        Failure::unavailable(format!("{} cannot be written: {error}; name another file", file.display()))
    })?;
    eprintln!("kubectl holdfast: wrote {}", file.display());
    Ok(())
}

/// Plans that were read, by their digests: they never change.
#[derive(Debug, Default)]
pub struct Plans(Mutex<BTreeMap<String, Arc<Plan>>>);

impl Plans {
    async fn read(&self, cluster: &Cluster, migration: &SchemaMigration) -> Option<Read<Arc<Plan>>> {
        let known = migration.status.as_ref()?.plan.as_ref()?;
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&known.digest).cloned();
        if let Some(plan) = kept {
            return Some(Ok(plan));
        }
        let read = plan_store::load(&cluster.client, &cluster.namespace, &known.digest, &known.config_maps).await;
        let plan = read
            .map_err(|error| failed("reading the ConfigMaps of the plan", &error).message)
            .and_then(|plan| plan.map_err(|(_, message)| message));
        if let Ok(plan) = &plan {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(known.digest.clone(), Arc::clone(plan));
        }
        Some(plan)
    }
}

/// What the cluster has of one migration.
pub struct Objects {
    migration: SchemaMigration,
    plan: Option<Read<Arc<Plan>>>,
    approvals: Read<Vec<MigrationApproval>>,
    events: Read<Vec<Event>>,
    evidence: Option<Read<Signed>>,
    journal: Option<Vec<JournalEntry>>,
}

impl Objects {
    /// Reads it.
    ///
    /// # Errors
    /// When the migration itself cannot be read. What else cannot is told by the report.
    pub async fn read(cluster: &Cluster, name: &str, plans: &Plans) -> Result<Self, Failure> {
        let migration = cluster.migration(name).await?;
        let plan = plans.read(cluster, &migration).await;
        let api: Api<MigrationApproval> = cluster.api();
        let approvals = api.list(&ListParams::default()).await.map(|list| list.items);
        let approvals = approvals.map_err(|error| failed("listing MigrationApprovals", &error).message);
        let about = format!("involvedObject.uid={}", migration.uid().unwrap_or_default());
        let api: Api<Event> = cluster.api();
        let events = api.list(&ListParams::default().fields(&about).limit(EVENTS)).await.map(|list| list.items);
        let events = events.map_err(|error| failed("listing events", &error).message);
        let evidence = evidence(cluster, &migration).await;
        Ok(Self { migration, plan, approvals, events, evidence, journal: None })
    }

    /// The report about it.
    #[must_use]
    pub fn report(&self, now: Timestamp) -> Report {
        fn borrowed<T>(read: &Read<T>) -> Read<&T> {
            read.as_ref().map_err(Clone::clone)
        }
        Report::new(&Sources {
            migration: &self.migration,
            plan: self.plan.as_ref().map(|plan| borrowed(plan).map(AsRef::as_ref)),
            approvals: borrowed(&self.approvals).map(Vec::as_slice),
            events: borrowed(&self.events).map(Vec::as_slice),
            evidence: self.evidence.as_ref().map(borrowed),
            journal: self.journal.as_deref(),
            now,
        })
    }
}

/// What the database's journal has of a migration.
///
/// # Errors
/// When it cannot be read, is about another schema, or has nothing of the migration's plan.
async fn journal(migration: &SchemaMigration, database: &Database) -> Result<Vec<JournalEntry>, Failure> {
    let (name, own) = (migration.name_any(), &migration.spec.database.name);
    if !database.schema.as_str().eq_ignore_ascii_case(own) {
        let given = &database.schema;
        return Err(Failure::usage(format!(
            "{name} is about the schema {own}, not {given}: name {own} in --url or --schema"
        )));
    }
    let plan = migration.status.as_ref().and_then(|status| status.plan.as_ref());
    let digest = plan.map(|plan| plan.digest.as_str());
    let digest = digest.ok_or_else(|| {
        Failure::no(format!("{name} has no plan yet, so there is no journal of it: leave --url and --host out"))
    })?;
    let location = target::settings(&migration.spec).map_err(|error| database::failed(&error))?.journal;
    let history = history(&database.target, &location, &database.schema, digest).await;
    history.map_err(|error| database::failed(&error))?.ok_or_else(|| {
        Failure::no(format!(
            "the journal has nothing of plan {digest}: the migration has changed nothing yet, or this is another server than {}",
            migration.spec.database.host
        ))
    })
}

/// The evidence of a migration, known to be what the operator wrote; none where it wrote none.
async fn evidence(cluster: &Cluster, migration: &SchemaMigration) -> Option<Read<Signed>> {
    let written = migration.status.as_ref()?.evidence.as_ref()?;
    let maps: Api<ConfigMap> = cluster.api();
    let name = &written.config_map;
    let found = match maps.get_opt(name).await {
        Ok(found) => found,
        Err(error) => return Some(Err(failed(&format!("reading the ConfigMap {name}"), &error).message)),
    };
    let text = found.map(|map| map.data.unwrap_or_default().remove(EVIDENCE_KEY).unwrap_or_default());
    let Some(text) = text else { return Some(Err(format!("the ConfigMap {name} is gone"))) };
    let signed = match Signed::read(&text) {
        Ok(signed) => signed,
        Err(refusal) => return Some(Err(format!("the ConfigMap {name} does not hold evidence: {refusal}"))),
    };
    Some(if signed.digest() == written.digest {
        Ok(signed)
    } else {
        Err(format!(
            "the ConfigMap {name} holds something else than the operator wrote: whoever may write ConfigMaps there has exchanged it"
        ))
    })
}
