//! Entry point of the kubectl plugin: kubectl runs a program of this name for `kubectl holdfast`.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::cli::main()
}
