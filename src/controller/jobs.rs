//! The Jobs that the controller creates, as manifests. Credentials come as mounted files only, no pod gets an API token, and what
//! the operator itself runs satisfies the restricted Pod Security Standard.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvVar, KeyToPath, PersistentVolumeClaimVolumeSource,
    PodSecurityContext, PodSpec, PodTemplate, PodTemplateSpec, SeccompProfile, SecretVolumeSource, SecurityContext,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};

use crate::api::SchemaMigration;
use crate::api::backup::ClaimDestination;
use crate::api::database::TlsMode;
use crate::results;

use super::target::host;

const CREDENTIALS: &str = "/var/run/holdfast/credentials";
const TLS: &str = "/var/run/holdfast/tls";
pub(super) const PRIVATE: &str = "/var/run/holdfast/private";
pub(super) const PROGRAM: &str = "/holdfast";
const USER: i64 = 65532;
/// A dump, or its restore, may take long; one that takes longer than a day is stuck.
const BACKUP_DEADLINE_SECONDS: i64 = 86_400;

/// What a container of ours gets that logs in to the database.
pub(super) struct DatabaseAccess {
    pub(super) arguments: Vec<String>,
    pub(super) volumes: Vec<Volume>,
    /// With the folder in memory, which [`private_volume`] makes.
    pub(super) mounts: Vec<VolumeMount>,
}

/// Where the database is, and the credentials as files.
pub(super) fn database_access(migration: &SchemaMigration) -> DatabaseAccess {
    let database = &migration.spec.database;
    let namespace = migration.namespace().unwrap_or_default();
    let ssl_mode = match database.tls.mode {
        TlsMode::VerifyIdentity => "VERIFY_IDENTITY",
        TlsMode::VerifyCA => "VERIFY_CA",
        TlsMode::Required => "REQUIRED",
        TlsMode::Disabled => "DISABLED",
    };
    let mut access = DatabaseAccess {
        arguments: vec![
            argument("host", &host(&database.host, &namespace)),
            argument("port", &database.port.to_string()),
            argument("credentials", CREDENTIALS),
            argument("ssl-mode", ssl_mode),
            argument("private", PRIVATE),
        ],
        volumes: vec![secret_volume("credentials", &database.credentials_secret_ref.name, None)],
        mounts: vec![mount("credentials", CREDENTIALS, true), mount("private", PRIVATE, false)],
    };
    if let Some(authority) = &database.tls.ca_secret_ref {
        access.arguments.push(argument("certificate-authority", &format!("{TLS}/ca.crt")));
        access.volumes.push(secret_volume("tls", &authority.name, Some(&authority.key)));
        access.mounts.push(mount("tls", TLS, true));
    }
    access
}

/// A Job that makes a backup or looks at one: another try is for people to ask for.
pub(super) fn of_backup(metadata: ObjectMeta, pod: PodSpec) -> Job {
    of_program(metadata, pod, BACKUP_DEADLINE_SECONDS)
}

/// A Job of ours, whose pod is tried once.
pub(super) fn of_program(metadata: ObjectMeta, pod: PodSpec, deadline_seconds: i64) -> Job {
    job(metadata, PodTemplateSpec { metadata: None, spec: Some(pod) }, 0, deadline_seconds)
}

fn job(metadata: ObjectMeta, template: PodTemplateSpec, tries_again: i32, deadline_seconds: i64) -> Job {
    Job {
        metadata,
        spec: Some(JobSpec {
            backoff_limit: Some(tries_again),
            active_deadline_seconds: Some(deadline_seconds),
            template,
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// A pod that runs our program in a container with somebody else's image.
pub(super) fn pod_with_program(operator_image: &str, container: Container, volumes: Vec<Volume>) -> PodSpec {
    let install = Container {
        name: "install".to_owned(),
        image: Some(operator_image.to_owned()),
        args: Some(vec!["install-self".to_owned(), format!("{PROGRAM}/holdfast")]),
        volume_mounts: Some(vec![mount("program", PROGRAM, false)]),
        security_context: Some(restricted()),
        ..Container::default()
    };
    PodSpec { init_containers: Some(vec![install]), ..pod(container, volumes) }
}

/// A pod of ours.
pub(super) fn pod(container: Container, volumes: Vec<Volume>) -> PodSpec {
    PodSpec {
        containers: vec![container],
        volumes: Some(volumes),
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(seccomp()),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

pub(super) fn argument(name: &str, value: &str) -> String {
    format!("--{name}={value}")
}

/// Takes our program.
pub(super) fn program_volume() -> Volume {
    Volume { name: "program".to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

/// In memory, for passwords.
pub(super) fn private_volume() -> Volume {
    let medium =
        EmptyDirVolumeSource { medium: Some("Memory".to_owned()), size_limit: Some(Quantity("1Mi".to_owned())) };
    Volume { name: "private".to_owned(), empty_dir: Some(medium), ..Volume::default() }
}

/// A claim.
pub(super) fn claim_volume(volume: &str, claim: &ClaimDestination) -> Volume {
    let source = PersistentVolumeClaimVolumeSource { claim_name: claim.claim_name.clone(), read_only: None };
    Volume { name: volume.to_owned(), persistent_volume_claim: Some(source), ..Volume::default() }
}

/// One of the user's Jobs, from a PodTemplate.
#[must_use]
pub fn user(migration: &SchemaMigration, template: &PodTemplate, name: &str) -> Job {
    let spec = &migration.spec;
    let namespace = migration.namespace().unwrap_or_default();
    let mut pod_template = template.template.clone().unwrap_or_default();
    let pod = pod_template.spec.get_or_insert_default();
    pod.restart_policy = Some("Never".to_owned());
    pod.automount_service_account_token = Some(false);
    if let Some(account) = &spec.jobs.service_account_name {
        pod.service_account_name = Some(account.clone());
    }
    let mut mounts = Vec::new();
    let volumes = pod.volumes.get_or_insert_default();
    if let Some(credentials) = &spec.jobs.credentials_secret_ref {
        volumes.push(secret_volume("holdfast-credentials", &credentials.name, None));
        mounts.push(mount("holdfast-credentials", CREDENTIALS, true));
    }
    if let Some(authority) = &spec.database.tls.ca_secret_ref {
        volumes.push(secret_volume("holdfast-tls", &authority.name, Some(&authority.key)));
        mounts.push(mount("holdfast-tls", TLS, true));
    }
    let environment = [
        ("MYSQL_HOST", host(&spec.database.host, &namespace)),
        ("MYSQL_TCP_PORT", spec.database.port.to_string()),
        ("MYSQL_DATABASE", spec.database.name.clone()),
        ("HOLDFAST_MIGRATION", migration.name_any()),
        ("HOLDFAST_MIGRATION_UID", migration.metadata.uid.clone().unwrap_or_default()),
    ];
    for container in pod.containers.iter_mut().chain(pod.init_containers.iter_mut().flatten()) {
        let present = container.env.get_or_insert_default();
        for (key, value) in &environment {
            if !present.iter().any(|variable| variable.name == *key) {
                present.push(EnvVar { name: (*key).to_owned(), value: Some(value.clone()), ..EnvVar::default() });
            }
        }
        container.volume_mounts.get_or_insert_default().extend(mounts.iter().cloned());
    }
    restrict(pod);
    job(metadata(migration, name), pod_template, spec.jobs.backoff_limit, spec.jobs.active_deadline_seconds)
}

/// What the template leaves open gets the values of the restricted Pod Security Standard; what it says stays, so that it can say otherwise.
fn restrict(pod: &mut PodSpec) {
    // None of these fields exists there, and the API server refuses them.
    if pod.os.as_ref().is_some_and(|os| os.name == "windows") {
        return;
    }
    let of_pod = pod.security_context.get_or_insert_default();
    // Who names the user root has said that it may be.
    if of_pod.run_as_user != Some(0) {
        of_pod.run_as_non_root.get_or_insert(true);
    }
    of_pod.seccomp_profile.get_or_insert_with(seccomp);
    for container in pod.containers.iter_mut().chain(pod.init_containers.iter_mut().flatten()) {
        let own = container.security_context.get_or_insert_default();
        if own.run_as_user == Some(0) {
            own.run_as_non_root.get_or_insert(false);
        }
        let capabilities = own.capabilities.get_or_insert_default();
        // One that is privileged has them all, and the API server refuses to take its escalation away.
        let privileged = own.privileged == Some(true);
        let administers =
            capabilities.add.iter().flatten().any(|added| added == "SYS_ADMIN" || added == "CAP_SYS_ADMIN");
        if !privileged && !administers {
            own.allow_privilege_escalation.get_or_insert(false);
        }
        if !privileged {
            capabilities.drop.get_or_insert_with(|| vec!["ALL".to_owned()]);
        }
    }
}

/// A test Job whose program writes results to the known folder gets a container beside it that counts them when the program has ended.
#[must_use]
pub fn with_results(mut job: Job, operator_image: &str) -> Job {
    let Some(pod) = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) else { return job };
    let mut mounts = pod.containers.iter().flat_map(|container| container.volume_mounts.iter().flatten());
    let Some(volume) = mounts.find(|mount| mount.mount_path == results::FOLDER).map(|mount| mount.name.clone()) else {
        return job;
    };
    let counting = Container {
        name: "holdfast-results".to_owned(),
        image: Some(operator_image.to_owned()),
        args: Some(vec!["count-test-results".to_owned()]),
        // Kubernetes starts it before the others and ends it after them.
        restart_policy: Some("Always".to_owned()),
        volume_mounts: Some(vec![mount(&volume, results::FOLDER, true)]),
        security_context: Some(SecurityContext { run_as_user: Some(USER), ..restricted() }),
        ..Container::default()
    };
    pod.init_containers.get_or_insert_default().push(counting);
    job
}

pub(super) fn metadata(migration: &SchemaMigration, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        owner_references: migration.controller_owner_ref(&()).map(|owner| vec![owner]),
        labels: Some([("app.kubernetes.io/managed-by".to_owned(), "holdfast".to_owned())].into()),
        ..ObjectMeta::default()
    }
}

pub(super) fn secret_volume(volume: &str, secret: &str, only: Option<&str>) -> Volume {
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            default_mode: Some(0o440),
            items: only.map(|key| vec![KeyToPath { key: key.to_owned(), path: "ca.crt".to_owned(), mode: None }]),
            optional: None,
        }),
        ..Volume::default()
    }
}

pub(super) fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

fn seccomp() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}

pub(super) fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        seccomp_profile: Some(seccomp()),
        ..SecurityContext::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn test_job(container: serde_json::Value) -> Job {
        let manifest = include_str!("../../tests/api/manifests/good/everything-implemented.yaml");
        let mut migration: SchemaMigration = serde_yaml::from_str(manifest).unwrap();
        migration.metadata.uid = Some("8a1f".to_owned());
        let template = serde_json::json!({"template": {"spec": {"containers": [container]}}});
        user(&migration, &serde_json::from_value(template).unwrap(), "job")
    }

    fn pod(job: Job) -> PodSpec {
        job.spec.unwrap().template.spec.unwrap()
    }

    #[test]
    fn a_job_of_the_user_is_told_of_the_database_and_the_migration_and_keeps_what_it_says_itself() {
        let env = [("MYSQL_HOST", "elsewhere"), ("LEVEL", "debug")]
            .map(|(name, value)| serde_json::json!({"name": name, "value": value}));
        let pod = pod(test_job(serde_json::json!({"name": "t", "env": env})));
        assert_eq!(pod.automount_service_account_token, Some(false));
        let variables = pod.containers[0].env.clone().unwrap();
        let value = |name: &str| {
            let mut found = variables.iter().filter(|variable| variable.name == name);
            (found.next().and_then(|variable| variable.value.clone()), found.count())
        };
        assert_eq!(value("MYSQL_HOST"), (Some("elsewhere".to_owned()), 0));
        assert_eq!(value("HOLDFAST_MIGRATION_UID"), (Some("8a1f".to_owned()), 0));
        for name in ["MYSQL_TCP_PORT", "MYSQL_DATABASE", "HOLDFAST_MIGRATION", "LEVEL"] {
            assert!(value(name).0.is_some_and(|value| !value.is_empty()), "{name}");
        }
    }

    #[test]
    fn a_job_of_the_user_is_restricted_where_its_template_says_nothing() {
        let pod = pod(test_job(serde_json::json!({"name": "t"})));
        let of_pod = pod.security_context.unwrap();
        assert_eq!((of_pod.run_as_non_root, of_pod.run_as_user), (Some(true), None), "the image knows its user");
        assert_eq!(of_pod.seccomp_profile.unwrap().type_, "RuntimeDefault");
        let own = pod.containers[0].security_context.clone().unwrap();
        assert_eq!((own.allow_privilege_escalation, own.run_as_non_root), (Some(false), None));
        assert_eq!(own.capabilities.unwrap().drop.unwrap(), ["ALL"]);
        assert_eq!(own.read_only_root_filesystem, None, "no part of the standard");
    }

    #[test]
    fn what_the_template_says_of_its_security_stays() {
        let own = serde_json::json!({"runAsNonRoot": false, "allowPrivilegeEscalation": true,
            "capabilities": {"drop": ["NET_RAW"], "add": ["CHOWN"]}, "seccompProfile": {"type": "Unconfined"}});
        let left = pod(test_job(serde_json::json!({"name": "t", "securityContext": own})));
        let found = serde_json::to_value(left.containers[0].security_context.clone().unwrap()).unwrap();
        assert_eq!(found, own);
        let privileged = serde_json::json!({"privileged": true});
        let left = pod(test_job(serde_json::json!({"name": "t", "securityContext": privileged})));
        let found = left.containers[0].security_context.clone().unwrap();
        assert_eq!(
            (found.privileged, found.allow_privilege_escalation),
            (Some(true), None),
            "the API server refuses both"
        );
        let mut as_root: PodSpec = serde_json::from_value(serde_json::json!({"containers": [{"name": "t"}],
            "initContainers": [{"name": "i"}], "securityContext": {"runAsNonRoot": false}}))
        .unwrap();
        restrict(&mut as_root);
        assert_eq!(as_root.security_context.clone().unwrap().run_as_non_root, Some(false));
        let first = as_root.init_containers.unwrap().remove(0).security_context.unwrap();
        assert_eq!(first.allow_privilege_escalation, Some(false), "containers that come first as well");
        let mut named: PodSpec = serde_json::from_value(
            serde_json::json!({"containers": [{"name": "t", "securityContext": {"runAsUser": 0}}, {"name": "u"}]}),
        )
        .unwrap();
        restrict(&mut named);
        assert_eq!(named.security_context.unwrap().run_as_non_root, Some(true));
        let of: Vec<_> =
            named.containers.into_iter().map(|each| each.security_context.unwrap().run_as_non_root).collect();
        assert_eq!(of, [Some(false), None], "the user root was asked for by name");
        let mut windows: PodSpec =
            serde_json::from_value(serde_json::json!({"containers": [{"name": "t"}], "os": {"name": "windows"}}))
                .unwrap();
        let before = windows.clone();
        restrict(&mut windows);
        assert_eq!(windows, before);
    }

    #[test]
    fn results_are_counted_beside_a_job_that_writes_some_and_no_other() {
        let without = test_job(serde_json::json!({"name": "t"}));
        assert_eq!(with_results(without.clone(), "operator:1"), without);

        let mounts = [serde_json::json!({"name": "junit", "mountPath": "/var/run/holdfast/results"})];
        let pod = pod(with_results(test_job(serde_json::json!({"name": "t", "volumeMounts": mounts})), "operator:1"));
        let counting = &pod.init_containers.unwrap()[0];
        assert_eq!(
            (counting.image.as_deref(), counting.restart_policy.as_deref()),
            (Some("operator:1"), Some("Always"))
        );
        let mount = &counting.volume_mounts.as_ref().unwrap()[0];
        assert_eq!((mount.name.as_str(), mount.read_only), ("junit", Some(true)));
        assert_eq!(counting.env, None, "it is not told of the database");
    }
}
