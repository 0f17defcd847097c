//! What the operator is at while it is killed: migrations that come to each of their ends, the people and the cluster around them, and how
//! everything stands afterwards, read by plain SQL and from the API server.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdfast::controller::volume_snapshot::resource;
use holdfast::mysql::SessionLimits;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, DynamicObject};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::node::Node;
use crate::place::{Place, condition};
use crate::promotion::{Keys, apply_secret};
use crate::server::client;
use crate::volume_snapshots::{bound_claim, install_definitions_of_snapshots, ready, report};

const NAME: &str = "killed";
const LIMIT: Duration = Duration::from_secs(150);
const INTERVAL: Duration = Duration::from_millis(50);

static SCHEMAS: AtomicU32 = AtomicU32::new(0);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Story {
    /// Jobs of all kinds of the user succeed, and evidence is signed.
    Complete,
    /// The last test fails, and all is taken back.
    RolledBack,
    /// Deleted while the last test runs.
    Deleted,
    /// Backed up by a VolumeSnapshot.
    Snapshot,
}

impl Story {
    pub(super) const ALL: [Self; 4] = [Self::Complete, Self::RolledBack, Self::Deleted, Self::Snapshot];

    fn specification(self, place: &Place, schema: &str) -> Value {
        let mut spec = place.specification(schema);
        let test = |template: &str| json!({"probes": "Derived", "jobs": [{"name": "app", "podTemplateRef": {"name": template}}]});
        let update = json!({"podTemplateRef": {"name": "passes"}, "undoPodTemplateRef": {"name": "passes"}});
        match self {
            Self::Complete => {
                spec["schemaUpdate"] = update;
                spec["tests"] = test("passes");
                spec["promotion"] = json!({"environment": "dev",
                    "signingKeySecretRef": {"name": "holdfast-evidence-key", "key": "private.pem"}});
            }
            Self::RolledBack => {
                spec["schemaUpdate"] = update;
                spec["tests"] = test("fails");
            }
            Self::Deleted => spec["tests"] = test("runs"),
            Self::Snapshot => {
                spec["backup"] = json!({"type": "VolumeSnapshot", "verification": "Inspect",
                    "volumeSnapshot": {"claimName": "data", "className": "fast"}});
            }
        }
        spec
    }

    /// The reason of its end; none for one that is gone then.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Complete | Self::Snapshot => Some("Complete"),
            Self::RolledBack => Some("RollbackSucceeded"),
            Self::Deleted => None,
        }
    }
}

/// A story with what it needs.
pub(super) struct Scene {
    story: Story,
    pub(super) place: Place,
    schema: String,
    _node: Node,
    around: JoinHandle<()>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.around.abort();
    }
}

/// Lets the API server know VolumeSnapshots.
pub(super) async fn install_snapshots() {
    install_definitions_of_snapshots(&client(None).await).await;
}

impl Scene {
    pub(super) async fn set(story: Story) -> Self {
        let place = Place::new().await;
        let schema = format!("holdfast_killed_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed));
        place.schema(&schema).await;
        place.pod_template("passes", None).await;
        place.pod_template("fails", Some("the application does not start")).await;
        place.pod_template_that_runs("runs").await;
        if story == Story::Complete {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&schema);
            std::fs::create_dir_all(&folder).unwrap();
            apply_secret(&place, &Keys::make(&folder, "dev").private).await;
            std::fs::remove_dir_all(&folder).unwrap();
        }
        let around = match story {
            Story::Snapshot => {
                bound_claim(&place).await;
                tokio::spawn(driver(place.clone()))
            }
            Story::Deleted => tokio::spawn(deleter(place.clone())),
            Story::Complete | Story::RolledBack => tokio::spawn(async {}),
        };
        let node = Node::start(&place.client, &place.namespace);
        Self { story, place, schema, _node: node, around }
    }

    pub(super) async fn begin(&self) {
        self.place.create(NAME, &self.story.specification(&self.place, &self.schema)).await;
    }

    /// Waits until the migration has come to its end and is let go of, or, where it is deleted, gone.
    pub(super) async fn end(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let object = self.place.migrations().get_opt(NAME).await.unwrap();
            let told = match (object, self.story.reason()) {
                (None, None) => return Ok(()),
                (None, Some(_)) => return Err("the migration is gone".to_owned()),
                (Some(object), reason) => {
                    let object = serde_json::to_value(object).unwrap();
                    let ready = condition(&object, "Ready");
                    let told = format!("{}: {}", object["status"]["phase"], ready["message"]);
                    if condition(&object, "Finished")["status"] == "True" {
                        if reason.is_none_or(|reason| ready["reason"] != reason) {
                            return Err(format!("it ended otherwise, {told}"));
                        }
                        if object["metadata"].get("finalizers").is_none() {
                            return Ok(());
                        }
                    }
                    told
                }
            };
            if begun.elapsed() > LIMIT {
                return Err(format!("waited {LIMIT:?} for the end, last seen: {told}"));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn rows(&self, statement: &str) -> Vec<String> {
        let mut connection = self.place.target.connect(SessionLimits::default()).await.unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_all(connection.raw()).await;
        let rows = rows.unwrap_or_else(|error| panic!("{statement}: {error}"));
        connection.close().await.unwrap();
        rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_default()).collect()
    }

    /// How everything stands: the same for the same story, whoever was killed in it.
    pub(super) async fn standing(&self) -> Vec<String> {
        let (schema, journal) = (&self.schema, format!("{}_journal", self.schema));
        let mut lines = Vec::new();
        let mut add = |what: &str, found: Vec<String>| {
            lines.extend(found.into_iter().map(|each| format!("{what} {each}").replace(schema, "SCHEMA")))
        };
        for table in ["users", "bookmarks", "notes"] {
            let made = format!(
                "SELECT CONCAT_WS(' ', column_name, column_type, is_nullable) FROM information_schema.columns \
                 WHERE table_schema = '{schema}' AND table_name = '{table}'"
            );
            add(&format!("column of {table}:"), self.rows(&made).await);
            add(
                &format!("row of {table}:"),
                self.rows(&format!(
                    "SELECT CONCAT_WS(' ', t.id, {}) FROM {schema}.{table} t",
                    if table == "users" { "name" } else { "user_id, page" }
                ))
                .await,
            );
            let kept = format!(
                "SELECT name FROM {journal}.quarantine_tables WHERE source_schema = '{schema}' AND source_table = '{table}'"
            );
            for name in self.rows(&kept).await {
                add(&format!("in quarantine of {table}:"), self.rows(&format!(
                    "SELECT CONCAT_WS(' ', id, user_id, page) FROM {journal}.`{name}` WHERE holdfast_kind = 'Row' AND holdfast_restored_at IS NULL")).await);
            }
        }
        add(
            "constraint:",
            self.rows(&format!(
                "SELECT CONCAT_WS(' ', table_name, constraint_name, constraint_type, enforced) \
             FROM information_schema.table_constraints WHERE table_schema = '{schema}'"
            ))
            .await,
        );
        add(
            "delete rule:",
            self.rows(&format!(
                "SELECT CONCAT_WS(' ', constraint_name, delete_rule, update_rule) \
             FROM information_schema.referential_constraints WHERE constraint_schema = '{schema}'"
            ))
            .await,
        );
        add(
            "index:",
            self.rows(&format!(
                "SELECT CONCAT_WS(' ', table_name, index_name, seq_in_index, column_name) \
             FROM information_schema.statistics WHERE table_schema = '{schema}'"
            ))
            .await,
        );
        add("migration in the journal:", self.rows(&format!("SELECT state FROM {journal}.migrations")).await);
        add(
            "operation in the journal:",
            self.rows(&format!("SELECT CONCAT_WS(' ', sequence, operation, state) FROM {journal}.operations")).await,
        );
        add(
            "fence free:",
            self.rows(&format!(
                "SELECT CAST(IS_FREE_LOCK(CONCAT('holdfast:', LEFT(SHA2('{schema}', 256), 40))) AS CHAR)"
            ))
            .await,
        );
        add("Job:", self.jobs().await);
        let mut maps = self.names(Api::<ConfigMap>::namespaced(self.place.client.clone(), &self.place.namespace)).await;
        maps.retain(|name| name != "kube-root-ca.crt");
        add("ConfigMap:", maps.iter().map(|name| without_digests(name)).collect());
        if self.story == Story::Snapshot {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.place.client.clone(), &self.place.namespace, &resource());
            let all = api.list(&Default::default()).await.unwrap();
            add("VolumeSnapshot:", all.iter().map(|each| without_digests(&each.name_any())).collect());
        }
        if let Some(object) = self.place.migrations().get_opt(NAME).await.unwrap() {
            let status = &object.data["status"];
            add(
                "condition:",
                status["conditions"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|each| format!("{} {} {}", each["type"], each["status"], each["reason"]))
                    .collect(),
            );
            add(
                "job of the status:",
                status["jobs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|job| {
                        format!(
                            "{} {} {}",
                            without_digests(job["name"].as_str().unwrap()),
                            job["purpose"],
                            job["state"]
                        )
                    })
                    .collect(),
            );
            add(
                "key:",
                status["stages"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|stage| format!("{} {}", stage["name"], stage["state"]))
                    .collect(),
            );
            add("started:", vec![status["startedAt"].is_string().to_string()]);
        }
        lines
    }

    async fn jobs(&self) -> Vec<String> {
        let names = self.names(Api::<Job>::namespaced(self.place.client.clone(), &self.place.namespace)).await;
        names.iter().map(|name| without_digests(name)).collect()
    }

    async fn names<K>(&self, api: Api<K>) -> Vec<String>
    where
        K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        api.list(&Default::default()).await.unwrap().iter().map(kube::ResourceExt::name_any).collect()
    }

    /// Events that say the same about the same object, which each operator tells but once.
    pub(super) async fn told_twice(&self) -> Vec<String> {
        let api: Api<Event> = Api::namespaced(self.place.client.clone(), &self.place.namespace);
        let all = api.list(&Default::default()).await.unwrap();
        let mut told: Vec<String> =
            all.iter().map(|event| format!("{:?} {:?} {:?}", event.reason, event.action, event.note)).collect();
        told.sort();
        let twice =
            told.windows(2).filter(|two| two[0] == two[1]).map(|two| format!("an Event is there twice: {}", two[0]));
        twice.collect()
    }

    /// Drops the schemas; the namespace goes with the API server.
    pub(super) async fn clear(self) {
        let schema = &self.schema;
        self.place.sql(&format!("DROP SCHEMA IF EXISTS {schema}_journal; DROP SCHEMA IF EXISTS {schema}")).await;
    }
}

/// A name without what is of one migration alone: the words of eight and sixteen hexadecimal digits.
fn without_digests(name: &str) -> String {
    let is_digest = |word: &str| [8, 16].contains(&word.len()) && word.chars().all(|each| each.is_ascii_hexdigit());
    name.split('-').map(|word| if is_digest(word) { "DIGEST" } else { word }).collect::<Vec<_>>().join("-")
}

/// What a driver of volumes does: each snapshot that is asked for is taken.
async fn driver(place: Place) {
    let api: Api<DynamicObject> = Api::namespaced_with(place.client.clone(), &place.namespace, &resource());
    loop {
        for snapshot in api.list(&Default::default()).await.unwrap() {
            if snapshot.data["status"].is_null() {
                report(&api, &snapshot, ready()).await;
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Whoever deletes the migration while its test runs.
async fn deleter(place: Place) {
    let jobs: Api<Job> = Api::namespaced(place.client.clone(), &place.namespace);
    loop {
        // The status names it before it is there.
        if jobs.list(&Default::default()).await.unwrap().iter().any(|job| job.name_any().contains("-test-")) {
            place.migrations().delete(NAME, &DeleteParams::default()).await.unwrap();
            return;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
