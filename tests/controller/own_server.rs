//! An API server of a test's own, where it is about what is installed there: nobody else's definitions come and go.

use std::path::{Path, PathBuf};

use holdfast::api::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::fixture::put_definition;
use crate::own_script::OwnScript;

/// A running API server without anything in it.
pub(crate) struct OwnServer {
    script: OwnScript,
    kubeconfig: PathBuf,
}

impl OwnServer {
    pub(crate) async fn start() -> Self {
        let (script, kubeconfig) = OwnScript::start("api-server.sh", &[], "$KUBECONFIG").await;
        Self { script, kubeconfig: kubeconfig.into() }
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// Installs the definitions of today, or brings those that are there up to date.
    pub(crate) async fn put_definitions(&self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client().await);
        for definition in crd::definitions().unwrap() {
            put_definition(&api, &definition).await;
        }
    }

    /// Ends it, and waits until nothing of it is left.
    pub(crate) async fn stop(self) {
        self.script.stop().await;
    }
}
