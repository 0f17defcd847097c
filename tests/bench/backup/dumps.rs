//! Dumps by Holdfast and by the bare tools, in turns, of the same schema, onto the same disk. Both are on disk when they count as done.

use std::fs;

use holdfast::backup::{Outcome, Summary};

use super::place::Place;
use crate::figure::Failure;

/// How a dump is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Plain,
    Zstd,
    /// By the bare tools only: Holdfast has none.
    Gzip,
}

impl Way {
    /// What the bare tools are put together with.
    fn pipe(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Zstd => "| zstd -1 --quiet --stdout",
            Self::Gzip => "| gzip --stdout",
        }
    }

    /// How Holdfast calls it.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => Some("none"),
            Self::Zstd => Some("zstd"),
            Self::Gzip => None,
        }
    }
}

/// What was measured of one way.
#[derive(Debug, Default)]
pub(crate) struct Dumps {
    /// Seconds of the bare tools.
    pub(crate) bare: Vec<f64>,
    /// Seconds of Holdfast.
    pub(crate) ours: Vec<f64>,
    /// Bytes that are stored, of the bare tools' dump and of Holdfast's.
    pub(crate) stored: (u64, u64),
    /// The most memory that Holdfast's program had, in MiB.
    pub(crate) peaks: Vec<f64>,
}

/// Where the bare tools' dump of a way is left.
pub(crate) fn bare_file(place: &Place, way: Way) -> String {
    place.path(&format!("bare-{way:?}"))
}

/// Holdfast's own, whose backup is left in the folder `ours`.
pub(crate) fn ours(place: &Place, schema: &str, way: Way, dumps: &mut Dumps) -> Result<Option<Summary>, Failure> {
    let Some(name) = way.name() else { return Ok(None) };
    let mut command = place.holdfast("backup");
    command.args(place.server()).args([
        format!("--database={schema}"),
        format!("--destination={}", place.empty("ours")?),
        format!("--compression={name}"),
        "--name=bench-1".to_owned(),
        "--migration=bench".to_owned(),
        format!("--program={}", place.mysqldump.display()),
    ]);
    let ran = place.run(command)?;
    dumps.ours.push(ran.seconds);
    dumps.peaks.push(ran.peak_mib);
    match place.outcome()? {
        Outcome::Made(summary) => {
            dumps.stored.1 = summary.bytes;
            Ok(Some(summary))
        }
        other => Err(format!("a dump came to {other:?}").into()),
    }
}

/// As a person would: the same options of mysqldump, and on disk when it is done.
pub(crate) fn bare(place: &Place, way: Way, dumps: &mut Dumps) -> Result<(), Failure> {
    let file = bare_file(place, way);
    let _ = fs::remove_file(&file);
    let script = format!("\"${{@:2}}\" {} >\"$1\"; sync \"$1\"", way.pipe());
    let options = place.arguments_of(&place.mysqldump)?;
    let mut arguments = vec![file.clone(), place.mysqldump.display().to_string()];
    arguments.push(format!("--defaults-file={}", place.option_file.display()));
    arguments.extend(options.into_iter().filter(|option| !option.starts_with("--defaults-file=")));
    dumps.bare.push(place.shell(&script, &arguments)?.seconds);
    dumps.stored.0 = fs::metadata(&file)?.len();
    Ok(())
}
