//! The operator's program as a process of its own, and how it ends: by rule, or killed.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::server::eventually;

/// How long an end by rule may take: tasks have 20 seconds, and giving the Lease back as many.
const END_LIMIT: Duration = Duration::from_secs(60);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Most tests are not about who approves.
const WITHOUT_POLICIES: &[&str] = &["--allow-without-policies"];

static SERIAL: AtomicU32 = AtomicU32::new(0);

/// What an operator does at the points of its boundaries (src/controller/failpoints.rs).
#[cfg(feature = "failpoints")]
pub(crate) struct Points(Option<String>);

#[cfg(feature = "failpoints")]
impl Points {
    /// Writes them down.
    pub(crate) fn told() -> Self {
        Self(None)
    }

    /// Is killed at one.
    pub(crate) fn killed(point: &str) -> Self {
        Self(Some(point.to_owned()))
    }
}

/// A running operator; killed where a test forgets it.
pub(crate) struct Operator {
    child: Child,
    health: SocketAddr,
    metrics: SocketAddr,
    lease: String,
    /// Where it writes its log.
    pub(crate) log: PathBuf,
}

impl Operator {
    /// Starts it for these namespaces, or for all where none is named, and waits until it is ready.
    pub(crate) async fn start(namespaces: &[&str]) -> Self {
        let operator = Self::begin(&kubeconfig(), namespaces);
        operator.wait_until_ready().await;
        operator
    }

    /// Starts it as another replica of a running one, and waits until it is ready.
    pub(crate) async fn start_beside(other: &Self, namespaces: &[&str]) -> Self {
        let operator = Self::spawn(&kubeconfig(), name(), &other.lease, namespaces, WITHOUT_POLICIES);
        operator.wait_until_ready().await;
        operator
    }

    /// Starts it and waits for nothing.
    pub(crate) fn begin(kubeconfig: &Path, namespaces: &[&str]) -> Self {
        // A Lease of its own: one that was killed cannot give its Lease back, and is known to be dead.
        let name = name();
        Self::spawn(kubeconfig, name.clone(), &name, namespaces, WITHOUT_POLICIES)
    }

    /// Starts it with a kubeconfig and the Lease that the chart gives it rights on, and waits until it is ready.
    pub(crate) async fn start_as(kubeconfig: &Path, namespaces: &[&str]) -> Self {
        let operator = Self::spawn(kubeconfig, name(), "holdfast", namespaces, WITHOUT_POLICIES);
        operator.wait_until_ready().await;
        operator
    }

    /// Starts it as the chart does: no gate opens without the admission policies. Waits until it is ready.
    pub(crate) async fn start_guarded(kubeconfig: &Path, namespaces: &[&str]) -> Self {
        let name = name();
        let operator = Self::spawn(kubeconfig, name.clone(), &name, namespaces, &[]);
        operator.wait_until_ready().await;
        operator
    }

    /// Starts it for a namespace, with a Lease of its own, and waits for nothing.
    #[cfg(feature = "failpoints")]
    pub(crate) fn begin_at(namespace: &str, points: &Points) -> Self {
        let name = name();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.points"));
        std::fs::write(&file, "").unwrap();
        let mut variables = vec![("HOLDFAST_FAILPOINTS_FILE", file.to_str().unwrap())];
        variables.extend(points.0.as_deref().map(|point| ("HOLDFAST_FAILPOINT_KILL", point)));
        Self::spawn_with(&kubeconfig(), name.clone(), &name, &[namespace], WITHOUT_POLICIES, &variables)
    }

    /// The points that it came by.
    #[cfg(feature = "failpoints")]
    pub(crate) fn points(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.log.with_extension("points")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until it has ended by itself.
    #[cfg(feature = "failpoints")]
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    fn spawn(kubeconfig: &Path, name: String, lease: &str, namespaces: &[&str], more: &[&str]) -> Self {
        Self::spawn_with(kubeconfig, name, lease, namespaces, more, &[])
    }

    fn spawn_with(
        kubeconfig: &Path,
        name: String,
        lease: &str,
        namespaces: &[&str],
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let [health, metrics] = free_addresses();
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command
            .args(["controller", "--operator-image", "holdfast.test/operator:dev"])
            .args(more)
            .args(["--lease-namespace", "default", "--lease-name", lease, "--identity", &name])
            .args(["--health-address", &health.to_string(), "--metrics-address", &metrics.to_string()])
            .env("KUBECONFIG", kubeconfig)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true);
        if !namespaces.is_empty() {
            command.args(["--watch-namespaces", &namespaces.join(",")]);
        }
        Self { child: command.spawn().unwrap(), health, metrics, lease: lease.to_owned(), log }
    }

    async fn wait_until_ready(&self) {
        eventually(&format!("the operator to be ready (log: {})", self.log.display()), async || {
            match self.answer("/readyz") {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// What it answers under a path of its health address, head and all.
    pub(crate) fn answer(&self, path: &str) -> std::io::Result<String> {
        get(&self.health, path)
    }

    /// A metric without labels, by the whole name of its line; 0 where the line is not there yet.
    pub(crate) fn metric(&self, name: &str) -> std::io::Result<f64> {
        let text = get(&self.metrics, "/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(Ok(0.0), |number| number.trim().parse().map_err(std::io::Error::other))
    }

    /// Its process, while it runs.
    pub(crate) fn process(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it in the middle of whatever it does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let asked = Command::new("kill").args(["-TERM", &self.process().to_string()]).status().await.unwrap();
        assert!(asked.success());
        timeout(END_LIMIT, self.child.wait()).await.expect("waited 60 s for the operator to end").unwrap()
    }

    /// What it wrote so far.
    pub(crate) fn told(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

fn get(address: &SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn kubeconfig() -> PathBuf {
    std::env::var("HOLDFAST_TEST_KUBECONFIG").unwrap().into()
}

fn name() -> String {
    format!("holdfast-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// Two addresses of the loopback that nobody uses at this moment. Both are held until both are known: one that is given back comes again.
fn free_addresses() -> [SocketAddr; 2] {
    let held = [0, 1].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.each_ref().map(|listener| listener.local_addr().unwrap())
}
