//! pt-online-schema-change of the Percona Toolkit, where it is installed: all keys of a table in one run of it, as it is used best.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::plain::constraints;
use super::world::{SCHEMA, World, count_keys, keys};
use crate::figure::Failure;
use crate::sample::relations::Relation;

const PROGRAM: &str = "pt-online-schema-change";
/// Longest time that one table may take.
const DEADLINE: Duration = Duration::from_secs(3600);

/// What it took and what it could not do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    pub(crate) seconds: f64,
    pub(crate) keys: usize,
    /// Its own last words, by table.
    pub(crate) refused: Vec<String>,
}

/// Its version, or why it cannot be run.
pub(crate) async fn version() -> Result<String, String> {
    let output = tokio::process::Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output().await;
    match output {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(output) => Err(format!("{PROGRAM} --version ended with {}", output.status)),
        Err(error) => Err(format!("{PROGRAM} (Debian package percona-toolkit) could not be started: {error}")),
    }
}

/// The tables in an order in which each comes before those that refer to it: what is referred to cannot be exchanged without more
/// risk than its user would take.
fn tables() -> Vec<&'static str> {
    let mut left: BTreeSet<&'static str> = keys().map(|relation| relation.child).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let free: Vec<&'static str> = (left.iter().copied())
            .filter(|table| {
                keys().filter(|key| key.child == *table).all(|key| key.parent == *table || !left.contains(key.parent))
            })
            .collect();
        if free.is_empty() {
            order.extend(std::mem::take(&mut left));
        }
        for table in free {
            left.remove(table);
            order.push(table);
        }
    }
    order
}

/// Adds what it can. The orphans must be gone: it gives up on a table where it meets one.
pub(crate) async fn up(world: &World) -> Result<Ran, Failure> {
    let mut ran = Ran::default();
    let begun = Instant::now();
    for table in tables() {
        let of_table: Vec<&Relation> = keys().filter(|key| key.child == table).collect();
        let target = &world.target;
        let mut command = tokio::process::Command::new(PROGRAM);
        command
            .args(["--execute", "--no-version-check", "--recursion-method=none", "--no-check-alter"])
            .args(["--alter-foreign-keys-method=none", "--force", "--charset=utf8mb4"])
            .arg("--alter")
            .arg(constraints(&of_table))
            .arg(format!("h={},P={},u={},D={SCHEMA},t={table}", target.host, target.port, target.username))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if !target.password.is_empty() {
            return Err("pt-online-schema-change is measured on a server whose account has no password".into());
        }
        let output = tokio::time::timeout(DEADLINE, command.output())
            .await
            .map_err(|_| format!("waited {} s for {PROGRAM} on {table}", DEADLINE.as_secs()))??;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            let told = (words.lines())
                .find(|line| line.contains("rror") || line.contains("failed") || line.contains("annot"))
                .or_else(|| words.lines().last())
                .unwrap_or_default();
            ran.refused.push(format!("{table}: {}", told.chars().take(300).collect::<String>()));
        }
    }
    ran.seconds = begun.elapsed().as_secs_f64();
    ran.keys = count_keys(&mut world.connect().await?).await?;
    Ok(ran)
}
