//! `holdfast wait` as an init container runs it: with the rights of `deploy/wait/example.yaml` and no others, on migrations that come to be,
//! advance and end beside it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::accounts::Account;
use crate::cluster::{Cluster, Policies, eventually, manifest, object, root, with_input};

const NAME: &str = "referential-integrity";

/// The example applied to a namespace of its own, and the kubeconfig of its service account.
struct Scene {
    cluster: Cluster,
    account: Account,
}

impl Scene {
    async fn new() -> Self {
        let cluster = Cluster::new(Policies::None).await;
        let example = std::fs::read_to_string(root().join("deploy/wait/example.yaml")).unwrap();
        let arguments =
            ["apply", "--server-side", "--validate=strict", "--namespace", &cluster.namespace, "--filename", "-"];
        with_input("kubectl", &arguments, &example).unwrap();
        let account = Account::new(&cluster, "waits-for-migration").await;
        Self { cluster, account }
    }

    async fn create(&self) {
        let mut migration = object(&manifest("good/minimal.yaml"));
        migration.metadata.name = Some(NAME.to_owned());
        self.cluster.api("SchemaMigration").create(&PostParams::default(), &migration).await.unwrap();
    }

    async fn set(&self, phase: &str, conditions: &[(&str, &str, &str)]) {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason)| {
                json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-11-24T10:00:00Z"})
            })
            .collect();
        let status =
            json!({"observedGeneration": 1, "phase": phase, "message": "what is done", "conditions": conditions});
        let patch = Patch::Merge(json!({"status": status}));
        self.cluster.api("SchemaMigration").patch_status(NAME, &PatchParams::default(), &patch).await.unwrap();
    }

    fn command(&self, goal: &str, timeout: &str) -> Command {
        wait(&self.account.kubeconfig, &["--for", goal, "--timeout", timeout, NAME])
    }
}

fn wait(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("wait").args(arguments).env("KUBECONFIG", kubeconfig).stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn it_waits_for_a_migration_that_is_created_later_and_ends_when_that_is_complete() {
    let scene = Scene::new().await;
    let log = PathBuf::from(format!("{}.log", scene.account.kubeconfig.display()));
    let mut waiting = scene.command("Complete", "60s").stdout(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let lines = || std::fs::read_to_string(&log).unwrap();
    let says = async |text: &str| {
        eventually(
            &format!("the wait to say {text:?}"),
            async || if lines().contains(text) { Ok(()) } else { Err(lines()) },
        )
        .await;
    };
    says("there is no SchemaMigration referential-integrity in namespace").await;
    scene.create().await;
    says("the operator has not seen this version of it yet").await;
    scene.set("AddForeignKeys", &[("Finished", "False", "Progressing"), ("Succeeded", "Unknown", "Progressing")]).await;
    says("AddForeignKeys: what is done").await;
    assert!(waiting.try_wait().unwrap().is_none(), "{}", lines());
    scene.set("Complete", &[("Finished", "True", "Complete"), ("Succeeded", "True", "Complete")]).await;
    assert_eq!(waiting.wait().await.unwrap().code(), Some(0), "{}", lines());
    assert!(lines().ends_with("referential-integrity is Complete\n"), "{}", lines());
    std::fs::remove_file(&log).unwrap();
}

#[tokio::test]
async fn its_exit_codes_tell_an_end_from_a_deadline_and_from_what_cannot_be_asked() {
    let scene = Scene::new().await;
    let (code, _, err) = told(&scene.command("Complete", "1s").output().await.unwrap());
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("was not Complete within 1 s; seen last: there is no SchemaMigration"), "{err}");
    scene.create().await;
    scene
        .set("RolledBack", &[("Finished", "True", "RollbackSucceeded"), ("Succeeded", "False", "RollbackSucceeded")])
        .await;
    let (code, _, err) = told(&scene.command("Complete", "60s").output().await.unwrap());
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("RollbackSucceeded: what is done"), "{err}");
    let (code, out, err) = told(&scene.command("Finished", "60s").output().await.unwrap());
    assert_eq!((code, out.as_str()), (Some(0), "referential-integrity is Finished\n"), "{err}");
    let (code, _, err) = told(&scene.command("Done", "60s").output().await.unwrap());
    assert_eq!(code, Some(2), "{err}");
    // Another migration is none of its business, and it says so at once instead of waiting.
    let other = wait(&scene.account.kubeconfig, &["--for", "Complete", "--timeout", "60s", "another"]).output().await;
    let (code, _, err) = told(&other.unwrap());
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("cannot list resource \"schemamigrations\""), "{err}");
}
