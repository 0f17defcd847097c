//! The schema-update Job for SQLAlchemy that docs/jobs.md shows, on a real server. It needs packages of PyPI: `make test-sqlalchemy` installs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::sample::schema::execute;
use super::sample::{relations, test_server};
use super::traffic::add_keys;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/sample/sqlalchemy/schema_job.py");
const PASSWORD: &str = "known to this test @ : % only";

/// Runs a Job of the migration with this uid; whether it succeeded, and what it said.
fn run(folder: &Path, environment: &[(&str, String)], job: &str, uid: &str) -> (bool, String) {
    let output = Command::new("python3")
        .args([PROGRAM, job])
        .arg(folder)
        .envs(environment.iter().map(|(name, value)| (*name, value.as_str())))
        .env("HOLDFAST_MIGRATION_UID", uid)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(!text.contains(PASSWORD), "the password is in what {job} printed");
    (output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by make test-sqlalchemy"]
async fn the_models_get_every_key_and_are_put_back() {
    let packages =
        std::env::var("HOLDFAST_SQLALCHEMY").expect("HOLDFAST_SQLALCHEMY is not set: run make test-sqlalchemy");
    let server = test_server::server_with_schema("sample_models").await;
    let (host, port, schema) = server.address();
    let mut connection = server.connect().await.unwrap();
    for statement in [
        format!("DROP USER IF EXISTS '{schema}'@'%'"),
        format!("CREATE USER '{schema}'@'%' IDENTIFIED BY '{PASSWORD}'"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON `{schema}`.* TO '{schema}'@'%'"),
    ] {
        execute(&mut connection, &statement).await.unwrap();
    }
    let folder = std::env::temp_dir().join(format!("holdfast-models-{}", std::process::id()));
    fs::create_dir_all(folder.join("credentials")).unwrap();
    fs::write(folder.join("credentials/username"), &schema).unwrap();
    fs::write(folder.join("credentials/password"), PASSWORD).unwrap();
    let environment = [
        ("PYTHONPATH", packages),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("MYSQL_HOST", host),
        ("MYSQL_TCP_PORT", port.to_string()),
        ("MYSQL_DATABASE", schema),
        ("DATABASE_TLS", "Disabled".to_owned()),
        ("DATABASE_CREDENTIALS", folder.join("credentials").display().to_string()),
    ];
    let models = folder.join("models.py");
    let job = |job: &str, uid: &str| run(&folder, &environment, job, uid);

    let (succeeded, said) = job("update", "first");
    assert!(succeeded && said.starts_with("0 foreign keys in the catalogue"), "{said}");
    let without_keys = fs::read_to_string(&models).unwrap();
    let (succeeded, said) = job("restore", "first");
    assert!(succeeded && !models.exists(), "{said}");

    fs::write(&models, &without_keys).unwrap();
    add_keys(&server).await;
    // Another try is the same migration.
    for _ in 0..2 {
        let (succeeded, said) = job("update", "second");
        let all = relations::all().count();
        assert!(succeeded && said.starts_with(&format!("{all} foreign keys in the catalogue")), "{said}");
    }
    let with_keys = fs::read_to_string(&models).unwrap();
    assert!(with_keys.contains("ForeignKey('users.id', ondelete='CASCADE'"), "{with_keys}");
    assert!(with_keys.contains("['protocol_versions.protocol_id', 'protocol_versions.version']"), "{with_keys}");

    for _ in 0..2 {
        let (succeeded, said) = job("restore", "second");
        assert!(succeeded && fs::read_to_string(&models).unwrap() == without_keys, "{said}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
