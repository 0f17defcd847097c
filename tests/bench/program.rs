//! Figures that Holdfast is measured by, on the server that HOLDFAST_TEST_MYSQL names, and for the operator on the API server that
//! HOLDFAST_TEST_KUBECONFIG names. Each comes from a file of its own, which returns what it [`Measured`]; all of it goes into one
//! report, `target/bench/report.json` and `report.md`.

mod backup;
mod build;
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
#[path = "../mysql/programs.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod programs;
mod report;
mod rollout;
// Its unit tests are run elsewhere.
#[path = "../sample/mod.rs"]
#[allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]
mod sample;
#[path = "../mysql/served.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod served;
#[path = "../api/server.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod server;

use std::process::ExitCode;

use figure::{Failure, Measured};
use report::{Conditions, Report};
use rollout::engine;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == engine::ENGINE => {
            Box::pin(engine::work(rest.first().map(String::as_str))).await
        }
        _ => Box::pin(measure(&arguments)).await,
    };
    match outcome {
        // A figure that misses its aim is shown, not hidden in an exit status; only a failure to measure is one.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `cargo bench --bench figures -- key` measures only what is named; cargo itself adds --bench.
async fn measure(named: &[String]) -> Result<(), Failure> {
    let target = common::target();
    let conditions = Conditions::here(&target).await?;
    let wanted = |name: &str| named.is_empty() || named.iter().any(|each| each == name);
    let mut measured = Measured::default();
    if wanted("key") {
        measured.add(Box::pin(key::measure(&target)).await?.into());
    }
    if wanted("build") {
        measured.add(build::measure(&target).await?.into());
    }
    if wanted("planning") {
        measured.add(planning::measure(&target).await?.into());
    }
    if wanted("rollout") {
        measured.add(Box::pin(rollout::measure(&target)).await?);
    }
    if wanted("backup") {
        measured.add(Box::pin(backup::measure(&target)).await?);
    }
    if wanted("controller") {
        measured.add(controller::measure().await?.into());
    }
    let report = Report { conditions, measured };
    let path = report.write()?;
    println!("\n{}\nbench: written to {}", report.markdown(), path.display());
    Ok(())
}
