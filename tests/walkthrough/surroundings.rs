//! What a newcomer has before the first page: a folder with the repository, a cluster, and a MySQL whose tables have lost their relations.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::Outcome;
use crate::harness::database::Database;
use crate::harness::kubectl::{Kubectl, run};
use crate::harness::operator;
use crate::harness::shop::Shop;
use crate::pages::root;
use crate::table::{SHOP, STAGING};

/// Folders of the repository that commands name.
const FOLDERS: [&str; 3] = ["charts", "crds", "deploy"];
/// What `import` reads.
const SQL_FILE: &str = "ALTER TABLE feedback ADD CONSTRAINT fk_feedback_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL;\n";

/// The tables that the pages' manifests name, with what the guide says is found in them: 1,200 bookmarks and 10 entries of feedback whose user
/// is missing, and 15 duplicates.
const TABLES: &str = "
SET SESSION cte_max_recursion_depth = 100000;
CREATE TABLE users (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, email VARCHAR(190) NOT NULL);
CREATE TABLE agencies (id INT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL UNIQUE);
CREATE TABLE protocols (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, agency_id INT UNSIGNED NOT NULL, title VARCHAR(200) NOT NULL);
CREATE TABLE bookmarks (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, user_id INT UNSIGNED NOT NULL, note VARCHAR(200) NOT NULL);
CREATE TABLE feedback (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, user_id BIGINT UNSIGNED NULL, body VARCHAR(200) NOT NULL,
  KEY by_user (user_id));
CREATE TABLE auth_providers (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, user_id BIGINT UNSIGNED NOT NULL, provider VARCHAR(30) NOT NULL);
CREATE TABLE integration_logs (id BIGINT UNSIGNED NOT NULL PRIMARY KEY AUTO_INCREMENT, agency_name VARCHAR(100) NOT NULL);
INSERT INTO users (id, email) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
  SELECT i, CONCAT('user', i, '@example.test') FROM n;
INSERT INTO agencies (id, name) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) SELECT i, CONCAT('agency ', i) FROM n;
INSERT INTO protocols (id, agency_id, title) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
  SELECT i, 1 + i % 20, CONCAT('protocol ', i) FROM n;
INSERT INTO bookmarks (id, user_id, note) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
  SELECT i, IF(i % 25 = 7, 500000 + i, 1 + i % 10000), 'read it' FROM n;
INSERT INTO feedback (id, user_id, body) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
  SELECT i, IF(i % 1000 = 3, 600000 + i, i), REPEAT('good ', 20) FROM n;
INSERT INTO auth_providers (id, user_id, provider) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
  SELECT i, i, 'password' FROM n;
INSERT INTO auth_providers (id, user_id, provider) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 15)
  SELECT 10000 + i, i, 'password' FROM n;
INSERT INTO integration_logs (id, agency_name) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
  SELECT i, CONCAT('agency ', 1 + i % 21) FROM n;
ANALYZE TABLE users, agencies, protocols, bookmarks, feedback, auth_providers, integration_logs;
";

/// The newcomer's folder; it goes with its value.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// A new one.
    pub(crate) fn new() -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("holdfast-walkthrough-{}", std::process::id()));
        let make = || {
            fs::create_dir_all(folder.join("db/migrations"))?;
            fs::write(folder.join("db/migrations/001-feedback.sql"), SQL_FILE)?;
            FOLDERS.iter().try_for_each(|name| symlink(root().join(name), folder.join(name)))
        };
        make().map_err(|error: std::io::Error| format!("{}: {error}", folder.display()))?;
        Ok(Self(folder))
    }

    /// A kubeconfig of the cluster as somebody, or as its administrator, in a namespace.
    pub(crate) fn kubeconfig(&self, person: Option<&str>, namespace: &str) -> Outcome<PathBuf> {
        let path = self.0.join(format!(".kube-{}-{namespace}", person.unwrap_or("administrator")));
        if path.exists() {
            return Ok(path);
        }
        let text = run("kubectl", &["config", "view", "--raw", "--flatten", "--minify", "--output", "json"], None)?;
        let mut config: Value = serde_json::from_str(&text).map_err(|error| format!("the kubeconfig: {error}"))?;
        config["contexts"][0]["context"]["namespace"] = json!(namespace);
        if let Some(person) = person {
            config["users"][0]["user"]["as"] = json!(person);
        }
        fs::write(&path, config.to_string()).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The cluster must be new to Holdfast: else the pages would be tried on what somebody else has made.
pub(crate) fn expect_nothing() -> Outcome<()> {
    for namespace in [SHOP, STAGING, operator::NAMESPACE] {
        let field = format!("metadata.name={namespace}");
        let found = run("kubectl", &["get", "namespace", "--field-selector", &field, "--output", "name"], None)?;
        if !found.trim().is_empty() {
            return Err(format!(
                "the cluster has a namespace {namespace} already: the walk makes its own, so take that away first"
            ));
        }
    }
    Ok(())
}

/// Takes away what the walk made, unless the cluster goes with it.
pub(crate) fn leave_nothing() -> Outcome<()> {
    if std::env::var_os("HOLDFAST_CLUSTER_ENDS").is_some() {
        return Ok(());
    }
    for namespace in [SHOP, STAGING] {
        run("kubectl", &["delete", "namespace", namespace, "--ignore-not-found", "--wait", "--timeout=180s"], None)?;
    }
    operator::uninstall()
}

/// Starts the team's database in the namespace, and leaves of the sample's accounts and Secrets what a newcomer has: the administrator's, and
/// the file with the authority of the server's certificate.
pub(crate) fn start_database(folder: &Path) -> Outcome<Database> {
    let kubectl = Kubectl::new(SHOP);
    run("bash", &["deploy/sample/secrets.sh", SHOP], None)?;
    kubectl.run(&["apply", "--filename", "deploy/sample/mysql.yaml"])?;
    kubectl.run(&["rollout", "status", "statefulset/mysql", "--timeout=180s"])?;
    authority(&kubectl, &folder.join("ca.crt"))?;
    kubectl.run(&["delete", "secret", "shop-migrator", "mysql-ca"])?;
    let database = Database { kubectl, name: "shop".to_owned() };
    database.sql("DROP USER 'migrator'@'%'")?;
    database.sql(TABLES)?;
    Ok(database)
}

/// Starts staging: the sample's server with its accounts and its claim for backups, and tables whose types fit already.
pub(crate) fn start_staging(folder: &Path) -> Outcome<Database> {
    let shop = Shop::new(STAGING);
    shop.start_database()?;
    authority(&shop.kubectl, &folder.join("staging-ca.crt"))?;
    shop.database().sql(TABLES)?;
    shop.database().sql("ALTER TABLE bookmarks MODIFY user_id BIGINT UNSIGNED NOT NULL")?;
    Ok(shop.database())
}

fn authority(kubectl: &Kubectl, file: &Path) -> Outcome<()> {
    let text = secret(kubectl, "mysql-ca", r"ca\.crt")?;
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// A value of a Secret.
pub(crate) fn secret(kubectl: &Kubectl, name: &str, key: &str) -> Outcome<String> {
    let encoded = kubectl.run(&["get", "secret", name, "--output", &format!("jsonpath={{.data.{key}}}")])?;
    run("base64", &["--decode"], Some(&encoded))
}
