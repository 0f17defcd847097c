//! From the spec and its Secrets to what the engine needs: where the server is, how to log in, how hard to press.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use crate::api::SchemaMigrationSpec;
use crate::api::database::TlsMode as ApiTlsMode;
use crate::api::execution::{JournalPlace, KillBlockers as ApiKillBlockers};
use crate::mysql::replica::ReplicaTarget;
use crate::mysql::replicas::Replicas;
use crate::mysql::session::Engine;
use crate::mysql::{Cause, Error, JournalLocation, KillBlockers, Settings, Target, TlsMode};
use crate::plan::Identifier;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The host as operator and Jobs reach it: a name without a dot is a Service of the migration's namespace.
#[must_use]
pub fn host(name: &str, namespace: &str) -> String {
    if name.contains(['.', ':']) || name == "localhost" { name.to_owned() } else { format!("{name}.{namespace}.svc") }
}

/// One key of a Secret.
///
/// # Errors
/// What is missing, or why it cannot be read.
pub async fn secret_key(client: &Client, namespace: &str, name: &str, key: &str) -> Result<Vec<u8>, String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets
        .get_opt(name)
        .await
        .map_err(|error| format!("the Secret {namespace}/{name} cannot be read: {error}"))?
        .ok_or_else(|| format!("the Secret {namespace}/{name} does not exist: create it with the key {key:?}"))?;
    let data = secret.data.unwrap_or_default().remove(key);
    data.map(|bytes| bytes.0).ok_or_else(|| format!("the Secret {namespace}/{name} has no key {key:?}: add it"))
}

/// The server and how to log in.
///
/// # Errors
/// What is missing.
pub async fn target(client: &Client, namespace: &str, spec: &SchemaMigrationSpec) -> Result<Target, String> {
    let database = &spec.database;
    let secret = &database.credentials_secret_ref.name;
    let text = |key: &'static str| async move {
        let bytes = secret_key(client, namespace, secret, key).await?;
        String::from_utf8(bytes)
            .map_err(|_| format!("the key {key:?} of the Secret {namespace}/{secret} is not UTF-8 text"))
    };
    let certificate_authority = match &database.tls.ca_secret_ref {
        Some(reference) => Some(secret_key(client, namespace, &reference.name, &reference.key).await?),
        None => None,
    };
    Ok(Target {
        host: host(&database.host, namespace),
        port: u16::try_from(database.port).map_err(|_| format!("database.port {} is no TCP port", database.port))?,
        socket: None,
        username: text("username").await?,
        password: text("password").await?,
        tls: match database.tls.mode {
            ApiTlsMode::VerifyIdentity => TlsMode::VerifyIdentity,
            ApiTlsMode::VerifyCA => TlsMode::VerifyCa,
            ApiTlsMode::Required => TlsMode::Required,
            ApiTlsMode::Disabled => TlsMode::Disabled,
        },
        certificate_authority,
        connect_timeout: CONNECT_TIMEOUT,
    })
}

/// How hard the engine may press.
///
/// # Errors
/// When a name in the spec is no MySQL name.
pub fn settings(spec: &SchemaMigrationSpec) -> Result<Settings, Error> {
    let invalid = |path: &str, error: String| Error::new(Cause::InvalidSpec, format!("{path}: {error}"));
    let identifier = |path: &str, name: &str| Identifier::new(name).map_err(|error| invalid(path, error.to_string()));
    let execution = &spec.execution;
    let journal = match spec.journal.place().map_err(|error| invalid("spec.journal", error.to_string()))? {
        JournalPlace::Schema(name) => JournalLocation::Schema(identifier("spec.journal.schema", name)?),
        JournalPlace::TablePrefix(name) => JournalLocation::Prefix(identifier("spec.journal.tablePrefix", name)?),
    };
    Ok(Settings {
        lock_timeout: execution.lock_timeout.get(),
        max_retries: u32::try_from(execution.max_retries).unwrap_or(0),
        barrier_timeout: execution.barrier_timeout.get(),
        batch_rows: u64::try_from(execution.batch_rows).unwrap_or(1),
        target_batch_time: execution.target_batch_time.get(),
        max_threads_running: u64::try_from(spec.preflight.max_threads_running).unwrap_or(1),
        kill_blockers: kill_blockers(spec),
        journal,
    })
}

/// Whether sessions in the way are ended.
pub fn kill_blockers(spec: &SchemaMigrationSpec) -> KillBlockers {
    match spec.execution.kill_blockers {
        ApiKillBlockers::Never => KillBlockers::Never,
        ApiKillBlockers::IdleTransactions => KillBlockers::IdleTransactions,
    }
}

/// The replicas, which are logged in to as to the server itself.
fn replicas(primary: &Target, namespace: &str, spec: &SchemaMigrationSpec) -> Result<Replicas, Error> {
    let targets = spec.database.replicas.iter().enumerate().map(|(index, replica)| {
        let path = format!("spec.database.replicas[{index}]");
        let port = u16::try_from(replica.port)
            .map_err(|_| Error::new(Cause::InvalidSpec, format!("{path}.port: {} is no TCP port", replica.port)))?;
        Ok(ReplicaTarget::new(primary, host(&replica.host, namespace), port, path))
    });
    Ok(Replicas { targets: targets.collect::<Result<_, Error>>()?, max_lag: spec.preflight.max_replica_lag.get() })
}

/// The engine for a migration.
///
/// # Errors
/// When a Secret is missing or a name is no MySQL name.
pub async fn engine(client: &Client, namespace: &str, spec: &SchemaMigrationSpec) -> Result<Engine, Error> {
    let target = target(client, namespace, spec).await.map_err(|message| Error::new(Cause::NotReady, message))?;
    let replicas = replicas(&target, namespace, spec)?;
    Ok(Engine { target, settings: settings(spec)?, replicas })
}
