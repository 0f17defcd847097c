//! `init`: a manifest to begin with, which the API server takes as it is and which stops after the plan.

use super::discover::object_name;
use super::failure::Failure;
use super::lint;
use super::manifest::{Entry, Manifest, Place, StageEntry};
use super::terminal::print;
use crate::api::constraints::{ForeignKey, OrphanPolicy, References, ReferentialAction};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the schema whose keys are to be added.
    schema: String,
    /// Host of the MySQL server, as pods reach it; one without a dot is a Service of the migration's namespace.
    #[arg(long, default_value = "mysql")]
    host: String,
    /// Port of the server.
    #[arg(long, default_value_t = 3306, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Image of a server of the same version, for the dump.
    #[arg(long, default_value = "mysql:8.4")]
    image: String,
    /// Name of the SchemaMigration. Left out: the schema's name and -foreign-keys.
    #[arg(long)]
    name: Option<String>,
}

/// Prints the manifest.
///
/// # Errors
/// When it would not be one that the API server takes, because of what the command line says.
pub fn run(arguments: &Arguments, namespace: Option<&str>) -> Result<(), Failure> {
    let yaml = manifest(arguments, namespace).yaml()?;
    let report = lint::look(&yaml, jiff::Timestamp::now());
    if let Some((_, _, finding)) = report.findings.first() {
        return Err(Failure::usage(format!("the manifest would not be taken: {finding}. {}", finding.way_out)));
    }
    print(&yaml)?;
    eprintln!(
        "Edit the manifest, then check it with `kubectl holdfast lint FILE` and apply it: it stops after the plan until mode is Apply.\n\
         Where the schema holds data already, `kubectl holdfast discover` proposes its keys, and `import` takes them from SQL files."
    );
    Ok(())
}

fn manifest(arguments: &Arguments, namespace: Option<&str>) -> Manifest {
    let key = ForeignKey {
        name: "fk_bookmarks_user".to_owned(),
        table: "bookmarks".to_owned(),
        columns: vec!["user_id".to_owned()],
        references: References { schema: None, table: "users".to_owned(), columns: vec!["id".to_owned()] },
        on_delete: ReferentialAction::Cascade,
        on_update: ReferentialAction::NoAction,
        orphans: OrphanPolicy::Fail,
    };
    let notes = vec![
        "edit: your keys. onDelete is Restrict, NoAction, Cascade or SetNull; orphans is Fail (stop), Delete or SetNull (both keep what they take \
         in quarantine)."
            .to_owned(),
    ];
    Manifest {
        head: vec![
            "A beginning: what is marked \"edit\" is yours to fill in. With mode Plan nothing is changed; kubectl holdfast plan NAME shows what would be."
                .to_owned(),
        ],
        name: arguments.name.clone().unwrap_or_else(|| object_name(&format!("{}-foreign-keys", arguments.schema))),
        namespace: namespace.map(str::to_owned),
        database: Place {
            host: arguments.host.clone(),
            port: arguments.port,
            schema: arguments.schema.clone(),
            image: arguments.image.clone(),
        },
        stages: vec![StageEntry { name: "users".to_owned(), keys: vec![Entry { notes, commented: false, value: key }] }],
        ..Manifest::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn arguments(schema: &str, name: Option<&str>) -> Arguments {
        Arguments {
            schema: schema.to_owned(),
            host: "mysql".to_owned(),
            port: 3306,
            image: "mysql:8.4".to_owned(),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn the_api_server_would_take_it_whatever_the_schema_is_called() {
        for schema in ["shop", "Bücher & more", "a: b #c", "'"] {
            let yaml = manifest(&arguments(schema, None), Some("shop")).yaml().unwrap();
            let report = lint::look(&yaml, jiff::Timestamp::now());
            assert_eq!((report.objects, report.findings.len()), (1, 0), "{yaml}\n{:?}", report.findings);
            let read: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(read["spec"]["database"]["name"], schema);
        }
    }

    #[test]
    fn a_name_that_no_object_can_have_is_refused() {
        let failure = run(&arguments("shop", Some("Not A Name")), None).unwrap_err();
        assert_eq!(failure.exit, super::super::failure::Exit::Usage, "{failure}");
    }
}
