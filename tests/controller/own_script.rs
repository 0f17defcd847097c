//! Servers of a test's own, which a script of `tests/cluster` starts and takes down again when its standard input is closed: they go with
//! the test, however that ends.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::server::root;

/// Another run may be building its programs meanwhile.
const START_LIMIT: Duration = Duration::from_secs(600);
const END_LIMIT: Duration = Duration::from_secs(60);

/// A script with what it runs.
pub(crate) struct OwnScript {
    name: &'static str,
    child: Child,
}

impl OwnScript {
    /// Has a script `run`, with these arguments, what gives a line that ends up in `tells`: the second thing returned.
    pub(crate) async fn start(name: &'static str, arguments: &[&str], tells: &str) -> (Self, String) {
        let mut child = Command::new(root().join("tests/cluster").join(name))
            .arg("run")
            .args(arguments)
            // Runs as long as its input is open.
            .args(["--", "bash", "-c", &format!("echo \"{tells}\"; cat")])
            // Whoever kills the test by its group of processes must not kill the script, which would take nothing down then.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(START_LIMIT, lines.next_line()).await.unwrap_or_else(|_| panic!("waited 600 s for {name}"));
        let line = line.unwrap().unwrap_or_else(|| panic!("{name} started nothing; what it said is above"));
        (Self { name, child }, line)
    }

    /// Ends it, and waits until nothing of it is left.
    pub(crate) async fn stop(mut self) {
        drop(self.child.stdin.take());
        let ended = timeout(END_LIMIT, self.child.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("waited 60 s for {} to end", self.name));
        assert!(ended.unwrap().success());
    }
}
