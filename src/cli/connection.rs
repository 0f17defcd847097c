//! The cluster that the plugin talks to, found as kubectl finds it, and errors of the API server with the next step.

use std::error::Error;
use std::path::PathBuf;

use kube::client::AuthError;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::api::SchemaMigration;

/// Flags that kubectl has too.
#[derive(Debug, clap::Args)]
pub struct Connection {
    /// Path of the kubeconfig. Left out: $KUBECONFIG, then ~/.kube/config, then the service account of the pod.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true)]
    context: Option<String>,
    /// Namespace. Left out: that of the context.
    #[arg(long, short = 'n', global = true)]
    namespace: Option<String>,
    /// User to act as.
    #[arg(long = "as", global = true, value_name = "USER")]
    as_user: Option<String>,
    /// Group to act as, repeated for several.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    as_groups: Vec<String>,
}

/// A cluster and a namespace in it.
#[derive(Clone)]
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl Connection {
    /// The namespace that the command line names.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// As the command line says, but for another context or namespace. A namespace that is named for this one says nothing of another context.
    #[must_use]
    pub fn other(&self, context: Option<&str>, namespace: Option<&str>) -> Self {
        let here = self.namespace.clone().filter(|_| context.is_none());
        Self {
            kubeconfig: self.kubeconfig.clone(),
            context: context.map(str::to_owned).or_else(|| self.context.clone()),
            namespace: namespace.map(str::to_owned).or(here),
            as_user: self.as_user.clone(),
            as_groups: self.as_groups.clone(),
        }
    }

    /// Finds the cluster. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn connect(self) -> Result<Cluster, Failure> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let unusable = |error: &(dyn Error + 'static)| {
            Failure::unavailable(format!(
                "no cluster can be found: {}; see that `kubectl config view --minify` shows the one that you mean, or name it with \
                 --kubeconfig and --context",
                told(error)
            ))
        };
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(&error))?
            }
            None => match Config::from_kubeconfig(&options).await {
                Ok(config) => config,
                // As kubectl in a pod; a context that was named must be found.
                Err(error) if self.context.is_none() => Config::incluster().map_err(|_| unusable(&error))?,
                Err(error) => return Err(unusable(&error)),
            },
        };
        let mut acting = config.auth_info.clone();
        if self.as_user.is_some() {
            acting = AuthInfo {
                impersonate: self.as_user,
                impersonate_groups: (!self.as_groups.is_empty()).then_some(self.as_groups),
                ..AuthInfo::default()
            };
        } else if !self.as_groups.is_empty() {
            return Err(Failure::usage("--as-group needs --as: name the user to act as"));
        }
        for (name, value) in impersonation(&acting) {
            let invalid = format!(
                "nobody can act as {value:?}: a request cannot carry these characters in {name}; correct the name"
            );
            match (name.parse(), value.parse()) {
                (Ok(name), Ok(value)) => config.headers.push((name, value)),
                _ => return Err(Failure::usage(invalid)),
            }
        }
        let namespace = self.namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Cluster { client, namespace })
    }
}

/// The headers by which the API server takes one user for another. The client library reads these fields of a kubeconfig and does
/// nothing about them, so that without this the plugin would act as somebody else than kubectl does.
fn impersonation(acting: &AuthInfo) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &String| headers.push((name.to_owned(), value.clone()));
    acting.impersonate.iter().for_each(|user| add("impersonate-user", user));
    acting.impersonate_uid.iter().for_each(|uid| add("impersonate-uid", uid));
    acting.impersonate_groups.iter().flatten().for_each(|group| add("impersonate-group", group));
    for (key, values) in acting.impersonate_user_extra.iter().flatten() {
        values.iter().for_each(|value| add(&format!("impersonate-extra-{}", key.to_lowercase()), value));
    }
    headers
}

impl Cluster {
    /// Objects of a kind in the namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One migration.
    ///
    /// # Errors
    /// When it is not there or may not be read.
    pub async fn migration(&self, name: &str) -> Result<SchemaMigration, Failure> {
        let api: Api<SchemaMigration> = self.api();
        let found =
            api.get_opt(name).await.map_err(|error| failed(&format!("reading the SchemaMigration {name}"), &error))?;
        found.ok_or_else(|| {
            Failure::unavailable(format!(
                "there is no SchemaMigration {name} in namespace {}: `kubectl get smig --all-namespaces` lists those that there are",
                self.namespace
            ))
        })
    }
}

/// What went wrong in asking the API server, with the next step.
#[must_use]
pub fn failed(doing: &str, error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => {
            let next = match status.code {
                401 => "; log in again: the API server does not take the credentials of this context",
                403 => {
                    "; ask whoever administers the namespace for that right, or use the context of a user who has it"
                }
                404 => "; see that Holdfast's definitions are installed: kubectl get crd schemamigrations.holdfast.dev",
                409 => "; somebody else changed it in the same moment: run the command again",
                429 | 500..=599 => "; the API server is in trouble: try again later",
                _ => "",
            };
            Failure::unavailable(format!("{doing}: {}{next}", status.message))
        }
        other => {
            Failure::unavailable(format!("{doing}: {}; see that `kubectl version` reaches the API server", told(other)))
        }
    }
}

/// An error with its causes, since the outermost one often only says that a request failed; without what a command that gives
/// credentials has printed, or a line of a kubeconfig: a credential may be in them.
#[must_use]
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(secret) = without_credentials(cause) {
            return secret;
        }
        let more = cause.to_string();
        if text.is_empty() {
            text = more;
        } else if !text.contains(&more) {
            text.push_str(&format!(": {more}"));
        }
        next = cause.source();
    }
    text
}

fn without_credentials(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(KubeconfigError::Parse(_)) = error.downcast_ref() {
        return Some("the kubeconfig cannot be read as YAML of that form".to_owned());
    }
    match error.downcast_ref() {
        // Its arguments and environment may hold one too.
        Some(AuthError::AuthExecRun { out, .. }) => {
            let said = String::from_utf8_lossy(&out.stderr);
            Some(format!("the kubeconfig's command for credentials ended with {}: {}", out.status, said.trim()))
        }
        Some(AuthError::AuthExecParse(_)) => {
            Some("what the kubeconfig's command for credentials has printed is no ExecCredential".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_kubeconfig_that_acts_as_somebody_is_honoured_whole() {
        let acting: AuthInfo = serde_json::from_value(serde_json::json!({
            "as": "alice@example.com", "as-uid": "7", "as-groups": ["dba", "oncall"], "as-user-extra": {"Scopes": ["view"]},
        }))
        .unwrap();
        let text: Vec<_> = impersonation(&acting).iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text,
            [
                "impersonate-user=alice@example.com",
                "impersonate-uid=7",
                "impersonate-group=dba",
                "impersonate-group=oncall",
                "impersonate-extra-scopes=view"
            ]
        );
        assert!(impersonation(&AuthInfo::default()).is_empty());
    }
}
