//! The sample application itself as a process: the scripts of its package.json, run by the Node of its own modules as in its image, against
//! the server of a test. It connects as an account that may change rows and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::connection::Server;
use super::schema::execute;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/sample/app");
const PASSWORD: &str = "known-to-this-test % ' : only";

/// The application beside one database, with a folder for its schema file.
pub(crate) struct Application {
    node: PathBuf,
    schema_folder: PathBuf,
    credentials: PathBuf,
    environment: Vec<(&'static str, String)>,
}

/// What a script came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) succeeded: bool,
    /// Both of its outputs.
    pub(crate) text: String,
    /// Its results in the form of JUnit, where it wrote them.
    pub(crate) results: String,
}

impl Application {
    /// Makes its account; the schema's name is the account's.
    pub(crate) async fn on(server: &Server) -> Self {
        let (host, port, schema) = server.address();
        let mut connection = server.connect().await.unwrap();
        for statement in [
            format!("DROP USER IF EXISTS '{schema}'@'%'"),
            format!("CREATE USER '{schema}'@'%' IDENTIFIED BY '{}'", PASSWORD.replace('\'', "''")),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON `{schema}`.* TO '{schema}'@'%'"),
        ] {
            execute(&mut connection, &statement).await.unwrap();
        }
        // Below the application, where the schema file finds its modules.
        let schema_folder = Path::new(FOLDER).join("schema").join(&schema);
        let credentials = std::env::temp_dir().join(format!("holdfast-{schema}-{}", std::process::id()));
        for folder in [&schema_folder, &credentials] {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(credentials.join("username"), &schema).unwrap();
        fs::write(credentials.join("password"), PASSWORD).unwrap();
        let environment = vec![
            ("MYSQL_HOST", host),
            ("MYSQL_TCP_PORT", port.to_string()),
            ("MYSQL_DATABASE", schema),
            ("DATABASE_TLS", "Disabled".to_owned()),
            ("DATABASE_CREDENTIALS", credentials.display().to_string()),
            ("SCHEMA_FOLDER", schema_folder.display().to_string()),
            ("JUNIT_FILE", credentials.join("junit.xml").display().to_string()),
        ];
        Self { node: node(), schema_folder, credentials, environment }
    }

    /// Runs a script, as `npm run` does.
    pub(crate) fn run(&self, script: &str, more: &[(&str, &str)]) -> Ran {
        let search = std::env::var("PATH").unwrap();
        let output = Command::new(&self.node)
            .args(["--run", script])
            .current_dir(FOLDER)
            .env("PATH", format!("{}:{search}", self.node.parent().unwrap().display()))
            .envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())))
            .envs(more.iter().copied())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(!text.contains(PASSWORD), "the password is in what {script} printed");
        let results = fs::read_to_string(self.credentials.join("junit.xml")).unwrap_or_default();
        Ran { succeeded: output.status.success(), text, results }
    }

    /// The file that a Job left, if there is one.
    pub(crate) fn schema_file(&self) -> Option<String> {
        fs::read_to_string(self.schema_folder.join("schema.ts")).ok()
    }

    pub(crate) fn write_schema_file(&self, text: &str) {
        fs::write(self.schema_folder.join("schema.ts"), text).unwrap();
    }

    /// The names of all files in the folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.schema_folder).unwrap().map(Result::unwrap);
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        for folder in [&self.schema_folder, &self.credentials] {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl Ran {
    /// How many tests ran, and the names of those that failed.
    pub(crate) fn tests(&self) -> (usize, Vec<String>) {
        let cases: Vec<&str> = self.results.split("<testcase ").skip(1).collect();
        let failed = cases.iter().filter(|case| case.contains("<failure"));
        let name = |case: &&str| case.split("name=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        (cases.len(), failed.map(name).collect())
    }
}

/// The Node that the lock file pins.
fn node() -> PathBuf {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let node = Path::new(FOLDER).join(format!("node_modules/node-linux-{architecture}/bin/node"));
    assert!(
        node.is_file(),
        "{} is missing: tests/harness/modules.sh installs the application's modules",
        node.display()
    );
    node
}
