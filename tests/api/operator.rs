//! The operator as a process beside the API server: started for one namespace, its log and its metrics read, ended with its handle.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::cluster::eventually;

/// A running operator; it is killed when this is dropped.
pub(crate) struct Operator {
    _child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Operator {
    /// Starts it for a namespace, with a kubeconfig.
    pub(crate) async fn start(kubeconfig: &Path, namespace: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(["controller", "--watch-namespaces", namespace, "--lease-namespace", namespace])
            .args(["--identity", "the-only-one", "--operator-image", "holdfast.test/operator:dev"])
            .args(["--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"])
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        keep(child.stdout.take().unwrap(), lines.clone());
        keep(child.stderr.take().unwrap(), lines.clone());
        Self { _child: child, lines }
    }

    /// Everything that it has written.
    pub(crate) fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The lines of its log, each of which must be a JSON object.
    pub(crate) fn records(&self) -> Vec<Value> {
        let parse = |line: &String| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("a line of the log is no JSON: {error}: {line}"))
        };
        self.log().iter().map(parse).collect()
    }

    /// What `GET /metrics` answers.
    pub(crate) async fn metrics(&self) -> Result<String, String> {
        let records = self.records();
        let served = records.iter().find(|record| record["message"] == "metrics are served");
        let address = served.and_then(|record| record["address"].as_str()).ok_or("the metrics are not served yet")?;
        let answer = get(address, "/metrics").await.map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer of HTTP: {answer}"))?;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/openmetrics-text"), "{head}");
        Ok(body.to_owned())
    }

    /// Waits until its metrics have each of these in some line.
    pub(crate) async fn metrics_with(&self, wanted: &[&str]) -> String {
        eventually(&format!("metrics with {wanted:?}"), async || {
            let text = self.metrics().await?;
            let missing: Vec<_> = wanted.iter().filter(|part| !text.contains(**part)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} missing in {text}\n{:#?}", self.log())) }
        })
        .await;
        self.metrics().await.unwrap()
    }
}

async fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn keep(output: impl tokio::io::AsyncRead + Unpin + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    tokio::spawn(async move {
        let mut reader = BufReader::new(output).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            lines.lock().unwrap().push(line);
        }
    });
}
