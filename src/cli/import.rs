//! `import`: SQL migration files, or the difference between two schemas, as a manifest. What a migration cannot hold is listed with its
//! place, in the manifest and on standard error, and the exit code says that there is something.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::bars::counted;
use super::database::{Database, Flags, failed};
use super::discover::{Output, object_name};
use super::failure::Failure;
use super::manifest::{self, Entry, Manifest, Place, StageEntry};
use super::terminal::print;
use crate::draft::difference::difference;
use crate::draft::import::{Carried, Imported, Left, Source, import};
use crate::mysql::inclusion::{Bounds, Reader};
use crate::plan::catalogue::Catalogue;

/// Longest name of a stage.
const MAX_STAGE: usize = 63;
/// Keys that the resource allows in a stage.
const KEYS_OF_A_STAGE: usize = 256;
/// What stands where the files do not name the schema.
const UNKNOWN_SCHEMA: &str = "shop";

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// SQL files in the order in which they are applied, and folders, whose .sql files are read by their names in the order of their
    /// numbers, without those of the way back (*.down.sql, U1__*.sql); `-` for standard input.
    #[arg(required_unless_present = "wanted_url", conflicts_with = "wanted_url")]
    files: Vec<PathBuf>,
    /// Instead of files: a schema that has what the migration shall bring about, such as one that a release's files were applied to, as
    /// mysql://USER@HOST:PORT/SCHEMA. The one that the migration works in is named by --url.
    #[arg(long, value_name = "URL")]
    wanted_url: Option<String>,
    /// File that holds the password for --wanted-url. Left out: as for the other.
    #[arg(long, value_name = "FILE", requires = "wanted_url")]
    wanted_password_file: Option<PathBuf>,
    /// Name of the SchemaMigration. Left out: imported-keys.
    #[arg(long, default_value = "imported-keys")]
    name: String,
    /// yaml: a manifest to edit. json: the manifest and all that was left.
    #[arg(long, short, value_enum, default_value_t = Output::Yaml)]
    output: Output,
    /// With files only --schema counts; left out, it is the one that they name.
    #[command(flatten)]
    database: Flags,
}

/// Imports files, or a difference.
///
/// # Errors
/// When a file cannot be read, nothing can be carried over, or something that matters is left.
pub async fn run(arguments: &Arguments, namespace: Option<&str>) -> Result<(), Failure> {
    let mut place =
        Place { host: "mysql".to_owned(), port: 3306, schema: String::new(), image: "mysql:8.4".to_owned() };
    let (sources, imported) = match &arguments.wanted_url {
        Some(url) => {
            let (actual, imported) = compare(arguments, url).await?;
            place.host.clone_from(&actual.target.host);
            place.port = actual.target.port;
            (vec![Source { name: "difference".to_owned(), text: String::new() }], imported)
        }
        None if arguments.database.names_a_server() => {
            return Err(Failure::usage(
                "files are read without a database: leave --url and --host out, or name what is wanted with --wanted-url",
            ));
        }
        None => {
            let mut sources = Vec::new();
            for file in &arguments.files {
                read(file, &mut sources)?;
            }
            let imported = import(&sources, arguments.database.schema());
            (sources, imported)
        }
    };
    let found = imported.type_fixes.len() + imported.uniques.len() + imported.keys.len();
    let lost: Vec<&Left> = imported.left.iter().filter(|left| left.matters).collect();
    let summary = format!(
        "{}: {}, {} and {} carried over; {} left.",
        counted(sources.len() as u64, "file"),
        counted(imported.type_fixes.len() as u64, "type fix"),
        counted(imported.uniques.len() as u64, "unique constraint"),
        counted(imported.keys.len() as u64, "foreign key"),
        counted(lost.len() as u64, "statement or part of one"),
    );
    let yaml = manifest_of(&imported, &sources, (arguments, place), namespace, &summary).yaml()?;
    if found > 0 || arguments.output == Output::Json {
        print(&match arguments.output {
            Output::Yaml => yaml,
            Output::Json => {
                let migration = if found > 0 { manifest::json(&yaml)? } else { Value::Null };
                let left = |left: &Left| json!({"place": left.place, "statement": left.statement, "why": left.why, "matters": left.matters});
                format!(
                    "{:#}\n",
                    json!({"migration": migration, "left": imported.left.iter().map(left).collect::<Vec<_>>()})
                )
            }
        })?;
    }
    eprintln!("{summary}");
    for left in &lost {
        eprintln!("{}: {}\n    {}", left.place, left.statement, left.why);
    }
    if found == 0 && lost.is_empty() && arguments.wanted_url.is_some() {
        eprintln!("The schema has everything that the wanted one has.");
        return Ok(());
    }
    if found == 0 {
        return Err(Failure::no(
            "nothing in these files can be carried over, so there is no manifest: name files with ALTER TABLE, CREATE INDEX or CREATE TABLE statements",
        ));
    }
    if !lost.is_empty() {
        return Err(Failure::no(format!(
            "the manifest is written and does not hold everything: do by hand what is listed above ({})",
            counted(lost.len() as u64, "entry").replace("entrys", "entries")
        )));
    }
    eprintln!(
        "Edit the manifest, then check it with `kubectl holdfast lint FILE`. It stops after the plan until mode is Apply."
    );
    Ok(())
}

/// The schema that the migration works in, and what it lacks.
async fn compare(arguments: &Arguments, url: &str) -> Result<(Database, Imported), Failure> {
    let actual = arguments.database.database()?;
    let wanted = arguments.database.at(url, arguments.wanted_password_file.as_deref()).database()?;
    let (wanted, there) = (definitions(&wanted).await?, definitions(&actual).await?);
    Ok((actual, difference(&wanted, &there)))
}

async fn definitions(database: &Database) -> Result<Catalogue, Failure> {
    let bounds = Bounds { time: Duration::ZERO, exact_rows: 0 };
    let mut reader = Reader::open(&database.target, bounds).await.map_err(|error| failed(&error))?;
    let catalogue = reader.schema(&database.schema).await.map_err(|error| failed(&error))?;
    reader.close().await.map_err(|error| failed(&error))?;
    Ok(catalogue)
}

fn read(path: &Path, sources: &mut Vec<Source>) -> Result<(), Failure> {
    let unreadable = |error: &std::io::Error| {
        Failure::unavailable(format!(
            "{} cannot be read: {error}; name a file with SQL, a folder of them, or -",
            path.display()
        ))
    };
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(|error| unreadable(&error))?;
        sources.push(Source { name: "-".to_owned(), text });
        return Ok(());
    }
    if !path.is_dir() {
        let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        sources.push(Source { name: path.display().to_string(), text });
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(&error))? {
        let entry = entry.map_err(|error| unreadable(&error))?.path();
        let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.to_lowercase().ends_with(".sql") && !is_way_back(&name) && entry.is_file() {
            files.push((in_order(&name), entry));
        }
    }
    if files.is_empty() {
        return Err(Failure::unavailable(format!(
            "{} holds no .sql file: name the files, or another folder",
            path.display()
        )));
    }
    files.sort();
    files.iter().try_for_each(|(_, file)| read(file, sources))
}

/// A file that takes another one back: golang-migrate, Flyway, Diesel and their like.
fn is_way_back(name: &str) -> bool {
    let lower = name.to_lowercase();
    let undo = lower
        .strip_prefix('u')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()) && rest.contains("__"));
    undo || lower == "down.sql"
        || [".down.sql", "_down.sql", ".undo.sql", ".rollback.sql"].iter().any(|ending| lower.ends_with(ending))
}

/// `V2` comes before `V10`.
fn in_order(name: &str) -> Vec<(u128, String)> {
    let mut parts: Vec<(u128, String)> = Vec::new();
    let mut digits = String::new();
    let mut letters = String::new();
    for character in name.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        if !digits.is_empty() {
            parts.push((0, std::mem::take(&mut letters)));
            parts.push((digits.parse().unwrap_or(u128::MAX), String::new()));
            digits.clear();
        }
        letters.push(character);
    }
    parts.push((0, letters));
    parts.push((digits.parse().unwrap_or(0), String::new()));
    parts
}

fn manifest_of(
    imported: &Imported,
    sources: &[Source],
    (arguments, place): (&Arguments, Place),
    namespace: Option<&str>,
    summary: &str,
) -> Manifest {
    let mut head = vec![
        "Written by kubectl holdfast import. Lines marked \"edit\" are yours to fill in; read orphans and duplicates, whose policy is Fail.".to_owned(),
        summary.to_owned(),
    ];
    let schema = imported.schema.clone().unwrap_or_else(|| {
        head.push(format!(
            "The files do not name the schema: {UNKNOWN_SCHEMA} stands for it in spec.database.name. Edit it."
        ));
        UNKNOWN_SCHEMA.to_owned()
    });
    let mut foot = Vec::new();
    let mut list = |title: &str, matters: bool| {
        let all: Vec<&Left> = imported.left.iter().filter(|left| left.matters == matters).collect();
        if !all.is_empty() {
            foot.push(title.to_owned());
            foot.extend(all.iter().map(|left| format!("- {}: {}: {}", left.place, left.statement, left.why)));
        }
    };
    list("Not carried over, to be done by hand:", true);
    list("Without an effect that would stay, and not carried over:", false);
    Manifest {
        head,
        name: arguments.name.clone(),
        namespace: namespace.map(str::to_owned),
        database: Place { schema, ..place },
        type_fixes: imported.type_fixes.iter().map(entry).collect(),
        uniques: imported.uniques.iter().map(entry).collect(),
        stages: stages(imported, sources),
        foot,
    }
}

fn entry<T: Clone>(carried: &Carried<T>) -> Entry<T> {
    let mut notes = vec![carried.place.clone()];
    notes.extend(carried.notes.iter().cloned());
    Entry { notes, commented: false, value: carried.value.clone() }
}

/// The keys of each file are a stage: so they were meant to be applied.
fn stages(imported: &Imported, sources: &[Source]) -> Vec<StageEntry> {
    let mut stages: Vec<StageEntry> = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let keys: Vec<_> = imported.keys.iter().filter(|key| key.file == number).map(entry).collect();
        let stem =
            Path::new(&source.name).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let stem = if source.name == "-" { "imported".to_owned() } else { object_name(&stem) };
        for part in keys.chunks(KEYS_OF_A_STAGE) {
            let mut name = stem.clone();
            let mut count = 1;
            while stages.iter().any(|stage| stage.name == name) {
                count += 1;
                let suffix = format!("-{count}");
                name = stem.chars().take(MAX_STAGE - suffix.len()).chain(suffix.chars()).collect();
            }
            stages.push(StageEntry { name, keys: part.to_vec() });
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_folder_are_read_in_the_order_of_their_numbers() {
        let mut names =
            ["V10__b.sql", "V2__a.sql", "V1__z.sql", "V1_1__y.sql", "20240102_x.sql", "001_init.sql", "V2_5.sql"];
        names.sort_by_key(|name| in_order(name));
        assert_eq!(
            names,
            ["001_init.sql", "20240102_x.sql", "V1_1__y.sql", "V1__z.sql", "V2_5.sql", "V2__a.sql", "V10__b.sql"]
        );
    }

    #[test]
    fn files_of_the_way_back_are_passed_over() {
        for name in ["001_init.down.sql", "U2__keys.sql", "down.sql", "x_down.sql"] {
            assert!(is_way_back(name), "{name}");
        }
        for name in ["001_init.up.sql", "V2__keys.sql", "Users.sql", "up.sql", "U_keys.sql"] {
            assert!(!is_way_back(name), "{name}");
        }
    }
}
