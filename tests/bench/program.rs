//! Figures that Holdfast is measured by, on the server that HOLDFAST_TEST_MYSQL names, and for the operator on the
//! API server that HOLDFAST_TEST_KUBECONFIG names. Each comes from a file of its own, which
//! returns [`Figure`]s; all of them go into one table and one report, `target/bench/report.json`.

#[path = "../mysql/common.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod common;
mod controller;
mod figure;
mod key;
#[path = "../controller/node.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod node;
#[path = "../controller/operator.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod operator;
#[path = "../controller/place.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod place;
mod planning;
#[path = "../mysql/served.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod served;
#[path = "../api/server.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod server;

use std::process::ExitCode;

use figure::{Conditions, Failure, Figure, Report};
use holdfast::mysql::SessionLimits;
use holdfast::mysql::server::read_server;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(report) => {
            println!("\n{}", report.table());
            // A figure that misses its aim is shown, not hidden in an exit status; only a failure to measure is one.
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Report, Failure> {
    let target = common::target();
    let mut connection = target.connect(SessionLimits::default()).await?;
    let server = read_server(&mut connection).await?.version_text;
    connection.close().await?;
    // `cargo bench --bench figures -- key` measures only what is named; cargo itself adds --bench.
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|each| each == name);
    let mut figures: Vec<Figure> = Vec::new();
    if wanted("key") {
        figures.extend(key::measure(&target).await?);
    }
    if wanted("planning") {
        figures.extend(planning::measure(&target).await?);
    }
    if wanted("controller") {
        figures.extend(controller::measure().await?);
    }
    let report = Report { conditions: Conditions::here(server), figures };
    println!("bench: written to {}", report.write()?.display());
    Ok(report)
}
