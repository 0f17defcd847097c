//! `discover`: foreign keys that a schema without any seems to have in mind, as a manifest to edit. Reads the catalogue and, within
//! bounds, the data; changes nothing.

use serde_json::{Value, json};

use super::bars::counted;
use super::database::{self, Database, Flags};
use super::failure::Failure;
use super::manifest::{self, Entry, Manifest, Place, StageEntry};
use super::terminal::print;
use crate::api::Duration;
use crate::api::constraints::ForeignKey;
use crate::draft::discover::{self, Confidence, Discovered, Discovery, Evidence, Obstacle, Reading};
use crate::draft::key_entry::key_entry;
use crate::mysql::inclusion::{Bounds, QUERY_LIMIT, Reader};
use crate::mysql::sample::SAMPLED_ROWS;
use crate::plan::catalogue::{Catalogue, Flavour};
use crate::plan::render::grouped;

/// Keys of one stage, at most; the resource allows more, people do not read more.
const KEYS_OF_A_STAGE: usize = 100;
/// A table that so many keys refer to gets a stage of its own, so that most depends on little.
const HUB: usize = 5;
/// Longest name of an object.
const MAX_NAME: usize = 63;

/// Arguments of `discover`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    database: Flags,
    /// Look at names, types and indexes only, and at no row.
    #[arg(long)]
    no_data: bool,
    /// Most time for reading rows, half of which are pauses. What is not read until then is judged by its name.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    time_limit: Duration,
    /// Tables of at most so many rows, by the server's estimate, are read whole; of larger ones a sample of 4,000 rows.
    #[arg(long, value_name = "ROWS", default_value_t = 100_000)]
    exact_rows: u64,
    /// Keys of less confidence stand in the manifest as comments.
    #[arg(long, value_enum, value_name = "CONFIDENCE", default_value_t = Least::Medium)]
    least: Least,
    /// Name of the SchemaMigration. Left out: that of the schema.
    #[arg(long)]
    name: Option<String>,
    /// yaml: a manifest to edit, with the reasons as comments. json: the manifest and all that was found.
    #[arg(long, short, value_enum, default_value_t = Output::Yaml)]
    output: Output,
}

/// How certain a key must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Least {
    High,
    Medium,
    Low,
}

/// Forms of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A manifest with comments.
    Yaml,
    /// For programs.
    Json,
}

/// Discovers keys.
///
/// # Errors
/// When the database cannot be read, or nothing certain enough was found.
pub async fn run(arguments: &Arguments, namespace: Option<&str>) -> Result<(), Failure> {
    let database = arguments.database.database()?;
    let bounds = Bounds { time: arguments.time_limit.get(), exact_rows: arguments.exact_rows };
    let least = match arguments.least {
        Least::High => Confidence::High,
        Least::Medium => Confidence::Medium,
        Least::Low => Confidence::Low,
    };
    let (catalogue, discovery, seconds) = search(&database, bounds, least, arguments.no_data).await?;
    let summary = summary(&catalogue, &discovery, seconds);
    let manifest = manifest_of(&catalogue, &discovery, &database, &summary, arguments.name.as_deref(), namespace)?;
    let yaml = manifest.yaml()?;
    print(&match arguments.output {
        Output::Yaml => yaml,
        Output::Json => {
            let found = json!({
                "migration": if discovery.proposed.is_empty() { Value::Null } else { manifest::json(&yaml)? },
                "proposed": discovery.proposed.iter().map(as_json).collect::<Vec<_>>(),
                "uncertain": discovery.uncertain.iter().map(as_json).collect::<Vec<_>>(),
                "leftOut": discovery.left_out.iter().map(|each| json!({"column": each.place, "why": each.why})).collect::<Vec<_>>(),
            });
            format!("{found:#}\n")
        }
    })?;
    eprintln!("{summary}");
    if discovery.proposed.is_empty() {
        let next = match discovery.uncertain.len() {
            0 => "the names follow no convention that is known; `kubectl holdfast import` takes keys from SQL files",
            _ => "read the comments, or take all of them with --least low",
        };
        return Err(Failure::no(format!("no key is certain enough, so the manifest is not complete: {next}")));
    }
    eprintln!(
        "Edit the manifest, then check it with `kubectl holdfast lint FILE`. It stops after the plan until mode is Apply."
    );
    Ok(())
}

/// Reads the schema and looks for keys: with the seconds that reading rows took.
///
/// # Errors
/// When the database cannot be read.
pub async fn search(
    database: &Database,
    bounds: Bounds,
    least: Confidence,
    no_data: bool,
) -> Result<(Catalogue, Discovery, f64), Failure> {
    let mut reader = Reader::open(&database.target, bounds).await.map_err(|error| database::failed(&error))?;
    let catalogue = reader.schema(&database.schema).await.map_err(|error| database::failed(&error))?;
    let (candidates, left_out) = discover::candidates(&catalogue);
    let mut weighed = Vec::new();
    for candidate in candidates {
        let evidence = if no_data {
            Evidence::NotAsked
        } else {
            reader.look(&catalogue, &candidate.key).await.map_err(|error| database::failed(&error))?
        };
        weighed.push((candidate, evidence));
    }
    let seconds = if no_data { 0.0 } else { reader.elapsed().as_secs_f64() };
    reader.close().await.map_err(|error| database::failed(&error))?;
    let discovery = discover::judge(&catalogue, weighed, left_out, least);
    Ok((catalogue, discovery, seconds))
}

fn summary(catalogue: &Catalogue, discovery: &Discovery, seconds: f64) -> String {
    let of = |confidence| discovery.proposed.iter().filter(|found| found.confidence == confidence).count();
    let read = |wanted: Reading| {
        let all = discovery.proposed.iter().chain(&discovery.uncertain);
        all.filter(|found| matches!(&found.evidence, Evidence::Read(inclusion) if inclusion.reading == wanted)).count()
    };
    let data = match (read(Reading::Exact), read(Reading::Sampled)) {
        (0, 0) => "no row was read".to_owned(),
        (exact, sampled) => {
            format!("rows were read in {seconds:.1} s: all of them for {exact} keys, a sample for {sampled}")
        }
    };
    let mut text = format!(
        "{} in {}: {} proposed ({} high, {} medium, {} low), {} uncertain, {} left out; {data}.",
        counted(catalogue.tables.len() as u64, "table"),
        catalogue.schema,
        counted(discovery.proposed.len() as u64, "key"),
        of(Confidence::High),
        of(Confidence::Medium),
        of(Confidence::Low),
        discovery.uncertain.len(),
        counted(discovery.left_out.len() as u64, "column"),
    );
    if !catalogue.foreign_keys.is_empty() {
        text.push_str(&format!(" {} there already.", counted(catalogue.foreign_keys.len() as u64, "foreign key")));
    }
    text
}

fn manifest_of(
    catalogue: &Catalogue,
    discovery: &Discovery,
    database: &Database,
    summary: &str,
    name: Option<&str>,
    namespace: Option<&str>,
) -> Result<Manifest, Failure> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => object_name(&format!("{}-foreign-keys", catalogue.schema)),
    };
    let head = vec![
        "Proposed by kubectl holdfast discover from names, types and data. A proposal is a guess with reasons: read each, decide on onDelete \
         and orphans, and remove what is not meant. Lines marked \"edit\" are yours to fill in."
            .to_owned(),
        summary.to_owned(),
        format!(
            "Bounds of the reading: one connection that cannot write, one query at a time, none longer than {} s, as long a pause after each; tables \
             of more rows than --exact-rows by a sample of at most {} rows.",
            QUERY_LIMIT.as_secs(),
            grouped(SAMPLED_ROWS)
        ),
    ];
    let mut foot = Vec::new();
    if !discovery.left_out.is_empty() {
        foot.push("Left out, though it looks like a reference or its name fits:".to_owned());
        foot.extend(discovery.left_out.iter().map(|each| format!("- {}: {}", each.place, each.why)));
    }
    Ok(Manifest {
        head,
        name,
        namespace: namespace.map(str::to_owned),
        database: Place {
            host: database.target.host.clone(),
            port: database.target.port,
            schema: catalogue.schema.to_string(),
            image: image(catalogue),
        },
        stages: stages(discovery),
        foot,
        ..Manifest::default()
    })
}

/// An image whose mysqldump knows the server's version.
fn image(catalogue: &Catalogue) -> String {
    let version = catalogue.server.version;
    match catalogue.server.flavour {
        Flavour::MySql => format!("mysql:{}.{}", version.major, version.minor),
        Flavour::MariaDb => format!("mariadb:{}.{}", version.major, version.minor),
    }
}

/// A name that an object can have.
pub fn object_name(text: &str) -> String {
    let lower = text.to_lowercase();
    let fit: String =
        lower.chars().map(|each| if each.is_ascii_alphanumeric() { each } else { '-' }).take(MAX_NAME).collect();
    let fit = fit.trim_matches('-');
    if fit.is_empty() { "foreign-keys".to_owned() } else { fit.to_owned() }
}

/// A stage for each table that many keys refer to, then one of the rest; uncertain keys stand where they would be.
fn stages(discovery: &Discovery) -> Vec<StageEntry> {
    let parent = |found: &Discovered| found.key.parent.table.to_string();
    let mut hubs: Vec<(usize, String)> = Vec::new();
    for found in &discovery.proposed {
        match hubs.iter_mut().find(|(_, name)| *name == parent(found)) {
            Some((count, _)) => *count += 1,
            None => hubs.push((1, parent(found))),
        }
    }
    hubs.retain(|(count, _)| *count >= HUB);
    hubs.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    // Many stages would be no order any more.
    hubs.truncate(3);
    let all = || {
        discovery
            .proposed
            .iter()
            .map(|found| (found, false))
            .chain(discovery.uncertain.iter().map(|found| (found, true)))
    };
    let mut stages = Vec::new();
    let mut add = |name: &str, keys: Vec<Entry<ForeignKey>>| {
        for (number, part) in keys.chunks(KEYS_OF_A_STAGE).enumerate() {
            let name = if number == 0 { name.to_owned() } else { format!("{name}-{}", number + 1) };
            stages.push(StageEntry { name: name.chars().take(63).collect(), keys: part.to_vec() });
        }
    };
    for (_, hub) in &hubs {
        add(
            hub,
            all()
                .filter(|(found, _)| parent(found) == *hub)
                .map(|(found, commented)| entry(found, commented))
                .collect(),
        );
    }
    let rest = all().filter(|(found, _)| hubs.iter().all(|(_, hub)| parent(found) != *hub));
    add(
        if hubs.is_empty() { "proposed" } else { "remaining" },
        rest.map(|(found, commented)| entry(found, commented)).collect(),
    );
    // A stage without an entry would be refused: what is only uncertain goes to the end of another.
    let empty = |stage: &StageEntry| stage.keys.iter().all(|key| key.commented);
    if stages.iter().any(|stage| !empty(stage)) {
        let (keep, loose): (Vec<_>, Vec<_>) = stages.into_iter().partition(|stage| !empty(stage));
        stages = keep;
        if let Some(last) = stages.last_mut() {
            last.keys.extend(loose.into_iter().flat_map(|stage| stage.keys));
        }
    }
    stages
}

fn entry(found: &Discovered, commented: bool) -> Entry<ForeignKey> {
    let mut notes = vec![format!("Confidence {}: {}.", found.confidence.as_str(), found.reasons.join("; "))];
    notes.push(format!("onDelete {}: {}.", found.key.on_delete.sql(), found.why_action));
    match &found.obstacle {
        Some(Obstacle::Type { column, wanted, .. }) => notes.push(format!(
            "First change the type, by a type fix: {{name: fix-{}, table: {}, modifyColumn: {{name: {column}, type: {wanted:?}}}}}",
            object_name(&format!("{}-{column}", found.key.child.table)),
            found.key.child.table
        )),
        Some(Obstacle::NoUniqueKey) => notes.push(format!(
            "First make the parent's column unique: a primary key by hand, or uniqueConstraints: {{name: ..., table: {}, columns: [{}]}}",
            found.key.parent.table,
            found.key.parent_columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        )),
        None => {}
    }
    Entry { notes, commented, value: key_entry(&found.key) }
}

fn as_json(found: &Discovered) -> Value {
    let data = match &found.evidence {
        Evidence::NotAsked => json!({"read": "NotAsked"}),
        Evidence::NotRead(reason) => json!({"read": "NotRead", "why": reason}),
        Evidence::Read(inclusion) => json!({
            "read": match inclusion.reading { Reading::Exact => "Exact", Reading::Sampled => "Sampled" },
            "rows": inclusion.rows, "distinct": inclusion.distinct, "orphans": inclusion.orphans, "emptyValues": inclusion.empty,
        }),
    };
    json!({
        "key": key_entry(&found.key),
        "confidence": found.confidence.as_str(),
        "likelihood": (found.likelihood * 100.0).round() / 100.0,
        "reasons": found.reasons,
        "onDeleteReason": found.why_action,
        "data": data,
        "obstacle": match &found.obstacle {
            None => Value::Null,
            Some(Obstacle::Type { column, wanted, reason }) => json!({"modifyColumn": {"name": column, "type": wanted}, "why": reason}),
            Some(Obstacle::NoUniqueKey) => json!({"why": "no constraint makes the parent's columns unique"}),
        },
    })
}
