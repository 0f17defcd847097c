//! Restores by Holdfast and by the bare tools, in turns, of the same dump, each into an empty server with the options that Holdfast gives
//! its own.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast::backup::{Outcome, Restored, Summary};

use super::dumps::{Way, bare_file};
use super::place::{Place, Ran};
use crate::figure::Failure;

/// Bytes of memory that the servers may take.
const MEMORY: u64 = 1 << 30;
const START_LIMIT: Duration = Duration::from_secs(120);

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Restores {
    /// Seconds in which the bare client restored.
    pub(crate) bare: Vec<f64>,
    /// Seconds in which Holdfast handed the dump to the client.
    pub(crate) ours: Vec<f64>,
    /// Seconds of the whole Job's program: a server is made, the dump is weighed, restored, dumped again and compared.
    pub(crate) whole: Vec<f64>,
    pub(crate) peaks: Vec<f64>,
}

/// The Job that proves the backup in the folder `ours`.
pub(crate) fn proven(place: &Place, summary: &Summary, more: &[String]) -> Result<(Ran, Restored), Failure> {
    let mut command = place.holdfast("verify-backup");
    command.args([
        format!("--destination={}", place.path("ours")),
        "--name=bench-1".to_owned(),
        "--migration=bench".to_owned(),
        format!("--manifest={}", summary.manifest),
        format!("--folder={}", place.empty("scratch")?),
        format!("--memory={MEMORY}"),
        format!("--mysqld={}", place.mysqld.display()),
        format!("--mysql={}", place.mysql.display()),
        format!("--mysqldump={}", place.mysqldump.display()),
    ]);
    command.args(more);
    let ran = place.run(command)?;
    match place.outcome()? {
        Outcome::Restored(restored) => Ok((ran, restored)),
        other => Err(format!("a restore came to {other:?}").into()),
    }
}

pub(crate) fn ours(place: &Place, summary: &Summary, restores: &mut Restores) -> Result<(), Failure> {
    let (ran, _) = proven(place, summary, &[])?;
    restores.ours.push(ran.between("restoring ", "comparing")?);
    restores.whole.push(ran.seconds);
    restores.peaks.push(ran.peak_mib);
    Ok(())
}

/// A server that ends with its value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn bare(place: &Place, schema: &str, way: Way, restores: &mut Restores) -> Result<(), Failure> {
    let folder = PathBuf::from(place.empty("bare-server")?);
    for each in ["data", "tmp"] {
        fs::create_dir_all(folder.join(each))?;
    }
    let (theirs, own) = (place.path("scratch"), folder.display().to_string());
    let options: Vec<String> = (place.arguments_of(&place.mysqld)?.into_iter())
        .filter(|option| !option.starts_with("--init-file="))
        .map(|option| option.replace(&theirs, &own))
        .collect();
    let mut command = Command::new(&place.mysqld);
    command.args(&options).arg("--initialize-insecure");
    place.run(command)?;
    let log = fs::File::create(folder.join("log"))?;
    let mut command = Command::new(&place.mysqld);
    command.args(&options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let _server = Server(command.spawn()?);
    let socket = folder.join("mysqld.sock");
    let until = Instant::now() + START_LIMIT;
    while UnixStream::connect(&socket).is_err() {
        if Instant::now() >= until {
            return Err(format!("no server answers: {}", fs::read_to_string(folder.join("log"))?).into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let client = vec![
        place.mysql.display().to_string(),
        "--no-defaults".to_owned(),
        format!("--socket={}", socket.display()),
        "--user=root".to_owned(),
    ];
    let mut making = client.clone();
    making.push(format!("--execute=CREATE SCHEMA {schema}"));
    place.shell("\"$@\"", &making)?;
    let mut arguments = vec![bare_file(place, way)];
    arguments.extend(client);
    arguments.extend(["--binary-mode", "--default-character-set=utf8mb4", "--", schema].map(str::to_owned));
    let script = match way {
        Way::Plain => "\"${@:2}\" <\"$1\"",
        Way::Zstd => "zstd --decompress --quiet --stdout \"$1\" | \"${@:2}\"",
        Way::Gzip => "gzip --decompress --stdout <\"$1\" | \"${@:2}\"",
    };
    restores.bare.push(place.shell(script, &arguments)?.seconds);
    Ok(())
}
