//! `evidence`: what one environment shows another. `export` takes it out of the cluster, `verify` checks it as the operator does, with no
//! cluster where the public key is in a file, and `keygen` (a file of its own) makes the key pair of an environment.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt as _};

use super::connection::{Cluster, Connection, failed};
use super::failure::Failure;
use super::keygen;
use super::lint;
use super::standing::{self, command};
use super::terminal::print;
use crate::api::conditions::is_true;
use crate::api::{ConditionType, Duration, SchemaMigration};
use crate::evidence::key::PUBLIC_KEY_NAME;
use crate::evidence::{Document, EVIDENCE_KEY, PublicKey, Signed, Wanted};

/// Arguments of `evidence`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the signed evidence of a complete migration, to be shown to another environment.
    Export(Export),
    /// Check evidence as the operator does: exit code 0 if it counts, 1 if it does not.
    Verify(Verify),
    /// Make the key pair of an environment, as manifests of two Secrets.
    Keygen(keygen::Arguments),
}

#[derive(Debug, clap::Args)]
struct Export {
    /// Name of the SchemaMigration.
    name: String,
    /// File to write it to. Left out: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("key").required(true))]
struct Verify {
    /// The evidence, `-` for standard input.
    file: PathBuf,
    /// File with the public key of the environment that it comes from: PEM, or the manifest of the Secret that keygen wrote.
    #[arg(long, value_name = "FILE", group = "key")]
    public_key: Option<PathBuf>,
    /// Secret of the namespace that holds it, as spec.promotion names it.
    #[arg(long, value_name = "NAME", group = "key")]
    secret: Option<String>,
    /// Key in that Secret.
    #[arg(long, value_name = "KEY", default_value = PUBLIC_KEY_NAME)]
    secret_key: String,
    /// The environment that it must come from.
    #[arg(long)]
    environment: Option<String>,
    /// The content that it must be of: status.contentDigest of the migration that it is shown to.
    #[arg(long, value_name = "DIGEST")]
    content_digest: Option<String>,
    /// Its greatest age, such as 720h.
    #[arg(long, value_name = "DURATION")]
    max_age: Option<Duration>,
}

/// Does it, and asks a cluster only where one is needed.
///
/// # Errors
/// When there is no evidence, it does not count, or a file or the API server is in the way.
pub async fn run(connection: Connection, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Export(arguments) => export(&connection.connect().await?, arguments).await,
        Command::Keygen(arguments) => keygen::run(arguments),
        Command::Verify(arguments) => {
            let key = match (&arguments.public_key, &arguments.secret) {
                (Some(file), _) => public_key(file)?,
                (None, Some(name)) => key_of_secret(&connection.connect().await?, name, &arguments.secret_key).await?,
                (None, None) => return Err(Failure::usage("name a public key: --public-key FILE or --secret NAME")),
            };
            verify(arguments, &key)
        }
    }
}

async fn export(cluster: &Cluster, arguments: &Export) -> Result<(), Failure> {
    let migration = cluster.migration(&arguments.name).await?;
    let text = stored(cluster, &migration).await?;
    match &arguments.output {
        None => print(&text),
        Some(file) => {
            fs::write(file, &text).map_err(|error| {
                Failure::unavailable(format!("{} cannot be written: {error}; name another file", file.display()))
            })?;
            eprintln!("kubectl holdfast: wrote {}", file.display());
            Ok(())
        }
    }
}

/// The evidence of a migration, known to be what the operator wrote.
async fn stored(cluster: &Cluster, migration: &SchemaMigration) -> Result<String, Failure> {
    let (name, status) = (migration.name_any(), standing::status(migration));
    let complete = is_true(&status.conditions, ConditionType::Succeeded);
    let Some(evidence) = status.evidence.as_ref().filter(|_| complete) else {
        let stands = standing::standing(migration);
        return Err(Failure::no(match (complete, &migration.spec.promotion) {
            (false, _) => format!(
                "{name} is not complete, so there is no evidence of it: it stands at {}: {}; {} shows how it goes on",
                stands.word,
                stands.now,
                command(migration, "status", "--watch")
            ),
            (true, None) => format!(
                "{name} has no spec.promotion, so no evidence of it was written: apply it under another name with promotion.environment and \
                 promotion.signingKeySecretRef; what is there already is proven once more and not changed"
            ),
            (true, Some(_)) => format!("{name} changed nothing ({}), so there is no evidence of it", stands.word),
        }));
    };
    let place = format!("the ConfigMap {}/{}", cluster.namespace, evidence.config_map);
    let maps: Api<ConfigMap> = cluster.api();
    let map = maps.get_opt(&evidence.config_map).await.map_err(|error| failed(&format!("reading {place}"), &error))?;
    let text = map.map(|map| map.data.unwrap_or_default().remove(EVIDENCE_KEY).unwrap_or_default());
    let text = text.ok_or_else(|| {
        Failure::unavailable(format!(
            "{place} is gone: apply the migration under another name; what is there already is proven once more and not changed"
        ))
    })?;
    let signed =
        Signed::read(&text).map_err(|refusal| Failure::no(format!("{place} does not hold evidence: {refusal}")))?;
    if signed.digest() != evidence.digest {
        return Err(Failure::no(format!(
            "{place} holds something else than the operator wrote ({}, not {}): whoever may write ConfigMaps there has exchanged it",
            signed.digest(),
            evidence.digest
        )));
    }
    if signed.signed_by().is_none() {
        eprintln!(
            "kubectl holdfast: this evidence is unsigned, and no environment takes it: set spec.promotion.signingKeySecretRef before a migration \
             begins (kubectl holdfast evidence keygen makes the key)"
        );
    }
    Ok(text)
}

async fn key_of_secret(cluster: &Cluster, name: &str, key: &str) -> Result<PublicKey, Failure> {
    let place = format!("the Secret {}/{name}", cluster.namespace);
    let secrets: Api<Secret> = cluster.api();
    let secret = secrets.get_opt(name).await.map_err(|error| failed(&format!("reading {place}"), &error))?;
    let secret = secret.ok_or_else(|| {
        Failure::unavailable(format!("{place} does not exist: apply the public key's manifest that keygen wrote"))
    })?;
    key_in(&secret, key, &place)
}

fn key_in(secret: &Secret, key: &str, place: &str) -> Result<PublicKey, Failure> {
    let plain = secret.string_data.as_ref().and_then(|data| data.get(key)).map(|text| text.as_bytes());
    let pem = plain.or_else(|| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice()));
    let pem = pem.ok_or_else(|| {
        Failure::unavailable(format!(
            "{place} has no key {key:?}: name the one that holds the public key with --secret-key"
        ))
    })?;
    PublicKey::from_pem(pem).map_err(|error| Failure::unavailable(format!("the key {key:?} of {place} {error}")))
}

/// The public key in a file: PEM, or the manifest of a Secret.
fn public_key(file: &Path) -> Result<PublicKey, Failure> {
    let text = lint::read(file)?;
    let place = file.display().to_string();
    match serde_yaml::from_str::<Secret>(&text) {
        Ok(secret) if !text.trim_start().starts_with("-----BEGIN") => key_in(&secret, PUBLIC_KEY_NAME, &place),
        _ => PublicKey::from_pem(text.as_bytes()).map_err(|error| Failure::unavailable(format!("{place} {error}"))),
    }
}

fn verify(arguments: &Verify, key: &PublicKey) -> Result<(), Failure> {
    let text = lint::read(&arguments.file)?;
    let wanted = Wanted {
        environment: arguments.environment.as_deref(),
        content_digest: arguments.content_digest.as_deref(),
        max_age: arguments.max_age.as_ref(),
    };
    let document = Signed::read(&text).and_then(|signed| {
        let document = signed.verified(key)?;
        wanted.check(&document, Timestamp::now())?;
        Ok(document)
    });
    let refused = |refusal| Failure::no(format!("{} does not count: {refusal}", arguments.file.display()));
    print(&told(&document.map_err(refused)?, key))
}

/// Good evidence, in a few lines.
fn told(document: &Document, key: &PublicKey) -> String {
    let (proof, tests, kept) = (&document.proof, &document.tests, &document.quarantined);
    let lines = [
        ("Environment", document.environment.clone()),
        ("Migration", format!("{}/{}", document.migration.namespace, document.migration.name)),
        ("Result", format!("{} at {}", document.result, document.finished_at)),
        ("Content", document.content_digest.clone()),
        ("Plan", document.plan_digest.clone()),
        ("Proven", format!("{} foreign keys, {} unique constraints", proof.foreign_keys, proof.unique_constraints)),
        ("Tested", format!("{} probes, {} scenarios, {} Jobs", tests.probes, tests.scenarios, tests.jobs)),
        (
            "Quarantine",
            format!(
                "{} orphans, {} duplicates, {} rows by cascades, {} values",
                kept.orphans, kept.duplicates, kept.cascaded, kept.values
            ),
        ),
        ("Signed with", key.id()),
    ];
    lines.iter().map(|(name, value)| format!("{name:<13}{value}\n")).collect()
}
