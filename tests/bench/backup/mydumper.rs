//! mydumper, where it is installed: how long its dump takes, and what its dump lacks although it ended with success. It is why Holdfast does
//! not offer it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::process::Command;

use sqlx::Connection as _;

use super::place::Place;
use crate::figure::Failure;
use crate::rollout::world::{SCHEMA, World};

const PROGRAM: &str = "mydumper";
const THREADS: u32 = 4;
/// More than the list of columns at the beginning of any of the sample's files.
const BEGINNING: u64 = 64 * 1024;

/// What it did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) version: String,
    pub(crate) seconds: f64,
    /// Columns that are in a table's definition and not generated, and that no row of its dump has: `table.column`.
    pub(crate) missing: Vec<String>,
}

/// Its version, or why it cannot be run.
pub(crate) fn version() -> Result<String, String> {
    match Command::new(PROGRAM).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(output) => Err(format!("{PROGRAM} --version ended with {}", output.status)),
        Err(error) => Err(format!("{PROGRAM} (Debian package mydumper) could not be started: {error}")),
    }
}

/// Dumps the schema; with as short a lock as it knows.
pub(crate) async fn measure(place: &Place, world: &World, version: &str) -> Result<Ran, Failure> {
    let folder = place.empty("mydumper")?;
    let mut command = Command::new(PROGRAM);
    command.arg(format!("--defaults-file={}", place.option_file.display())).args([
        format!("--database={SCHEMA}"),
        format!("--outputdir={folder}"),
        format!("--threads={THREADS}"),
        format!("--host={}", world.target.host),
        format!("--port={}", world.target.port),
        format!("--user={}", world.target.username),
        "--trx-consistency-only".to_owned(),
    ]);
    let ran = place.run(command)?;
    let mut missing = Vec::new();
    for (table, columns) in columns(world).await? {
        // An empty table has no file, and so lacks nothing.
        let Ok(file) = fs::File::open(format!("{folder}/{SCHEMA}.{table}.sql")) else { continue };
        let mut beginning = Vec::new();
        file.take(BEGINNING).read_to_end(&mut beginning)?;
        let text = String::from_utf8_lossy(&beginning);
        let listed = text.split_once("INSERT INTO ").and_then(|(_, rest)| rest.split_once(" VALUES"));
        let Some((listed, _)) = listed else { return Err(format!("{table}: no INSERT in {text:.200}").into()) };
        // Without a list the rows have every column that is visible.
        let Some((_, listed)) = listed.split_once('(') else { continue };
        let lacks = columns.into_iter().filter(|column| !listed.contains(&format!("`{column}`")));
        missing.extend(lacks.map(|column| format!("{table}.{column}")));
    }
    Ok(Ran { version: version.to_owned(), seconds: ran.seconds, missing })
}

/// Columns that hold values of their own, by table.
async fn columns(world: &World) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut connection = world.connect().await?;
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND generation_expression = '' ORDER BY table_name, ordinal_position",
    )
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    let mut columns = BTreeMap::<String, Vec<String>>::new();
    for (table, column) in found {
        columns.entry(table).or_default().push(column);
    }
    Ok(columns)
}
