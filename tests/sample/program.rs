//! The program `sample`: the sample application's schema, data, traffic and comparisons on the command line.

use std::process::ExitCode;

use clap::Parser;

#[path = "mod.rs"]
mod sample;

#[tokio::main]
async fn main() -> ExitCode {
    match sample::run(sample::Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sample: {error}");
            ExitCode::FAILURE
        }
    }
}
