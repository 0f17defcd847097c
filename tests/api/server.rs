//! The API server that HOLDFAST_TEST_KUBECONFIG names, and the definitions of the resources on it, installed as a user does.

use std::{env, path::Path, process::Command, time::Duration};

use holdfast::api::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config, ResourceExt,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::time::Instant;

/// Longest wait for the API server to take notice of something.
const DEADLINE: Duration = Duration::from_secs(60);
/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// A client, of the administrator or of a user that the administrator impersonates.
pub(crate) async fn client(user: Option<&str>) -> Client {
    let path = env::var("HOLDFAST_TEST_KUBECONFIG").unwrap_or_else(|_| {
        panic!(
            "HOLDFAST_TEST_KUBECONFIG is not set: these tests need the kubeconfig of an API server's administrator. `make test-api` \
             starts one; tests/cluster/api-server.sh run -- COMMAND starts one for any command"
        )
    });
    let kubeconfig = Kubeconfig::read_from(&path).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"));
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap_or_else(|error| panic!("{path} is no usable kubeconfig: {error}"));
    if let Some(user) = user {
        config.headers.push(("impersonate-user".parse().unwrap(), user.parse().unwrap()));
        config.headers.push(("impersonate-group".parse().unwrap(), "system:authenticated".parse().unwrap()));
    }
    Client::try_from(config).unwrap()
}

/// Looks until something is so, and fails with what it waited for.
pub(crate) async fn eventually<F: Future<Output = Result<(), String>>>(what: &str, look: impl Fn() -> F) {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(()) => return,
            Err(seen) => assert!(begun.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}, last seen: {seen}"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Installs the chart of the definitions as the guide does, so that an installation that is there already is brought up to date.
pub(crate) async fn install_definitions(admin: &Client) {
    let chart = root().join("charts/holdfast-crds");
    let chart = chart.to_str().unwrap();
    helm(&["upgrade", "--install", "holdfast-crds", chart, "--namespace", "holdfast-system", "--create-namespace"]);
    let api: Api<CustomResourceDefinition> = Api::all(admin.clone());
    let definitions = crd::definitions().unwrap();
    for definition in &definitions {
        let (api, name) = (&api, definition.name_any());
        let name = name.as_str();
        eventually(&format!("{name} to be established"), async || {
            let conditions =
                api.get(name).await.map_err(|error| error.to_string())?.status.and_then(|status| status.conditions);
            match conditions.iter().flatten().find(|condition| condition.type_ == "Established") {
                Some(condition) if condition.status == "True" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

pub(crate) fn helm(arguments: &[&str]) -> String {
    let mut command = Command::new("helm");
    command.args(arguments).env("KUBECONFIG", env::var_os("HOLDFAST_TEST_KUBECONFIG").unwrap_or_default());
    let output = command.output().unwrap_or_else(|error| {
        panic!("helm cannot be run: {error}. It must be on the PATH; tests/cluster/api-server.sh run -- COMMAND puts it there")
    });
    assert!(output.status.success(), "helm {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
