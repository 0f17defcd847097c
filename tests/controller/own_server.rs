//! An API server of a test's own, where it is about what is installed there: nobody else's definitions come and go.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::server::root;

/// Another run may be building its programs meanwhile.
const START_LIMIT: Duration = Duration::from_secs(600);
const END_LIMIT: Duration = Duration::from_secs(60);

/// A running API server without anything in it.
pub(crate) struct OwnServer {
    child: Child,
    kubeconfig: PathBuf,
}

impl OwnServer {
    pub(crate) async fn start() -> Self {
        let mut child = Command::new(root().join("tests/cluster/api-server.sh"))
            // Runs as long as its input is open: it goes with the test, however that ends.
            .args(["run", "--", "bash", "-c", "echo \"$KUBECONFIG\"; cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(START_LIMIT, lines.next_line()).await.expect("waited 600 s for an API server");
        let kubeconfig = line.unwrap().expect("the API server did not start; what it said is above").into();
        Self { child, kubeconfig }
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// Ends it, and waits until nothing of it is left.
    pub(crate) async fn stop(mut self) {
        drop(self.child.stdin.take());
        let ended = timeout(END_LIMIT, self.child.wait()).await.expect("waited 60 s for the API server to end");
        assert!(ended.unwrap().success());
    }
}
