//! A namespace with all that a migration needs in it, schemas on the MySQL server, and a person who waits and approves.

use std::time::Duration;

use holdfast::mysql::{SessionLimits, Target, TlsMode};
use holdfast::plan::Identifier;
use k8s_openapi::api::core::v1::{Namespace, PodTemplate, Secret, ServiceAccount};
use kube::api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::common::target;
use crate::server::{client, install_definitions};

/// Longest wait for a migration to come somewhere.
const LIMIT: Duration = Duration::from_secs(300);
const INTERVAL: Duration = Duration::from_millis(100);

static DEFINITIONS: OnceCell<()> = OnceCell::const_new();

/// A namespace with the migrator's Secret.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) target: Target,
}

impl Place {
    /// A new namespace.
    pub(crate) async fn new() -> Self {
        let client = client(None).await;
        DEFINITIONS.get_or_init(|| install_definitions(&client)).await;
        let metadata = ObjectMeta { generate_name: Some("holdfast-controller-".to_owned()), ..ObjectMeta::default() };
        Self::with(client, metadata).await
    }

    /// A new namespace of that name.
    pub(crate) async fn called(namespace: &str) -> Self {
        let client = client(None).await;
        DEFINITIONS.get_or_init(|| install_definitions(&client)).await;
        Self::with(client, named(namespace)).await
    }

    /// The namespace of that name on an API server that has the definitions.
    pub(crate) async fn on(client: Client, namespace: &str) -> Self {
        Self::with(client, named(namespace)).await
    }

    async fn with(client: Client, metadata: ObjectMeta) -> Self {
        let namespace = Namespace { metadata, ..Namespace::default() };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = namespaces.create(&PostParams::default(), &namespace).await.unwrap().name_any();
        let place = Self { client, namespace, target: target() };
        // No controller makes it here, and no pod may be created without.
        let account = ServiceAccount { metadata: named("default"), ..ServiceAccount::default() };
        place.make(&account).await;
        let login = [("username", &place.target.username), ("password", &place.target.password)];
        let data = login.map(|(key, value)| (key.to_owned(), value.clone())).into();
        place.make(&Secret { metadata: named("migrator"), string_data: Some(data), ..Secret::default() }).await;
        place
    }

    async fn make<K>(&self, object: &K)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
        K: Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
    {
        Api::<K>::namespaced(self.client.clone(), &self.namespace)
            .create(&PostParams::default(), object)
            .await
            .unwrap();
    }

    /// A template of the user's Jobs; of some that fail with a message.
    pub(crate) async fn pod_template(&self, name: &str, fails: Option<&str>) {
        self.template(name, fails.map(|text| json!({crate::node::FAILS: text})).unwrap_or_default()).await;
    }

    /// A template of the user's Jobs that do not end.
    #[cfg(feature = "failpoints")]
    pub(crate) async fn pod_template_that_runs(&self, name: &str) {
        self.template(name, json!({crate::node::RUNS: "yes"})).await;
    }

    async fn template(&self, name: &str, annotations: Value) {
        let template = json!({"metadata": {"name": name}, "template": {
            "metadata": {"annotations": annotations},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "holdfast.test/nothing:dev"}]},
        }});
        self.make(&serde_json::from_value::<PodTemplate>(template).unwrap()).await;
    }

    pub(crate) fn migrations(&self) -> Api<DynamicObject> {
        self.objects("SchemaMigration")
    }

    pub(crate) fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("holdfast.dev", "v1alpha1", kind);
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::from_gvk(&kind))
    }

    /// A specification that adds two keys in two stages to the tables that [`Place::schema`] makes.
    pub(crate) fn specification(&self, schema: &str) -> Value {
        let tls = if self.target.tls == TlsMode::Disabled { "Disabled" } else { "Required" };
        let key = |name: &str, table: &str| {
            json!({"name": name, "foreignKeys": [{"name": format!("fk_{table}_user"), "table": table, "columns": ["user_id"],
                "references": {"table": "users", "columns": ["id"]}, "onDelete": "Cascade", "orphans": "Delete"}]})
        };
        json!({
            "database": {"host": self.target.host, "port": self.target.port, "name": schema, "tls": {"mode": tls},
                "credentialsSecretRef": {"name": "migrator"}},
            // Other tests work on the same server at the same time.
            "preflight": {"maxActiveSessions": 1000, "maxThreadsRunning": 1000, "maxTransactionAge": "1h"},
            "journal": {"schema": format!("{schema}_journal")},
            "backup": {"type": "Job", "verification": "None", "job": {"tool": "Mysqldump", "image": "mysql:9.7",
                "destination": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "backups"}}}},
            "rehearsal": {"enabled": false},
            "stages": [key("bookmarks", "bookmarks"), key("notes", "notes")],
            "gates": [],
        })
    }

    /// A schema with users, and bookmarks and notes of users, of whom some are gone.
    pub(crate) async fn schema(&self, schema: &str) {
        self.sql(&fresh(schema, 50)).await;
    }

    /// Runs statements, separated by semicolons.
    pub(crate) async fn sql(&self, statements: &str) {
        let mut connection = self.target.connect(SessionLimits::default()).await.unwrap();
        connection.run(statements).await.unwrap_or_else(|error| panic!("{statements}: {error}"));
        connection.close().await.unwrap();
    }

    /// The one text that a statement gives.
    pub(crate) async fn one_text(&self, statement: &str) -> String {
        let mut connection = self.target.connect(SessionLimits::default()).await.unwrap();
        let row = sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_one(connection.raw()).await;
        let text = row.and_then(|row| row.try_get(0)).unwrap_or_else(|error| panic!("{statement}: {error}"));
        connection.close().await.unwrap();
        text
    }

    /// Creates a migration.
    pub(crate) async fn create(&self, name: &str, spec: &Value) -> DynamicObject {
        let object = json!({"apiVersion": "holdfast.dev/v1alpha1", "kind": "SchemaMigration", "metadata": {"name": name}, "spec": spec});
        let object = serde_json::from_value(object).unwrap();
        self.migrations()
            .create(&PostParams::default(), &object)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) async fn read(&self, name: &str) -> Value {
        serde_json::to_value(self.migrations().get(name).await.unwrap()).unwrap()
    }

    /// Waits until a migration is so, and returns it; fails where it has ended otherwise.
    pub(crate) async fn wait(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let object = self.read(name).await;
            if is_so(&object) {
                return object;
            }
            let told = || format!("{}: {}", object["status"]["phase"], condition(&object, "Ready")["message"]);
            assert!(condition(&object, "Finished")["status"] != "True", "{name} ended, not {what}: {}", told());
            assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} for {name} to be {what}, last seen: {}", told());
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits until a migration has ended with this reason.
    pub(crate) async fn wait_for_end(&self, name: &str, reason: &str) -> Value {
        self.wait(name, &format!("over: {reason}"), |object| {
            condition(object, "Finished")["status"] == "True" && condition(object, "Ready")["reason"] == reason
        })
        .await
    }

    /// Waits until a migration waits for this reason.
    pub(crate) async fn wait_for_reason(&self, name: &str, reason: &str) -> Value {
        self.wait(name, &format!("waiting: {reason}"), |object| condition(object, "Ready")["reason"] == reason).await
    }

    /// Waits until a migration waits for an approval of what comes before `before`, and returns it.
    pub(crate) async fn wait_for_gate(&self, name: &str, before: &Value) -> Value {
        let here = |object: &Value| {
            let gates = object["status"]["gates"].as_array();
            gates.is_some_and(|all| {
                all.iter().any(|gate| gate["before"] == *before && gate["reason"] == "ApprovalPending")
            })
        };
        self.wait(name, &format!("waiting for the approval before {before}"), here).await
    }

    /// The number of foreign keys in a schema.
    pub(crate) async fn keys(&self, schema: &str) -> String {
        self.one_text(&format!(
            "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = '{schema}'"
        ))
        .await
    }

    /// Waits until a migration waits for an approval, and decides about what comes before `before`: `{"phase": ...}` or `{"stage": ...}`.
    pub(crate) async fn decide(&self, name: &str, before: Value, decision: &str) {
        let waiting = self.wait_for_gate(name, &before).await;
        let approval = json!({
            "apiVersion": "holdfast.dev/v1alpha1", "kind": "MigrationApproval", "metadata": {"generateName": format!("{name}-")},
            "spec": {"migrationRef": {"name": name}, "before": before, "decision": decision,
                "planDigest": waiting["status"]["plan"]["digest"], "maxRows": 1000, "approvedBy": "administrator", "reason": "test"},
        });
        let approval = serde_json::from_value(approval).unwrap();
        self.objects("MigrationApproval").create(&PostParams::default(), &approval).await.unwrap();
    }

    /// Changes a migration by a merge patch.
    pub(crate) async fn patch(&self, name: &str, change: Value) {
        self.migrations().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }
}

/// A condition of an object; null where it has none of that type.
pub(crate) fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions.and_then(|all| all.iter().find(|one| one["type"] == kind)).cloned().unwrap_or_default()
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// Makes the schema anew, with so many users, every tenth of whom is gone.
pub(crate) fn fresh(schema: &str, users: u32) -> String {
    let quoted = Identifier::new(schema).unwrap().quoted();
    let journal = Identifier::new(format!("{schema}_journal")).unwrap().quoted();
    let mut text = format!(
        "DROP SCHEMA IF EXISTS {journal}; DROP SCHEMA IF EXISTS {quoted}; CREATE SCHEMA {quoted}; USE {quoted};"
    );
    text.push_str("CREATE TABLE users (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL);");
    let ids: Vec<u32> = (1..=users).collect();
    let rows = |row: &dyn Fn(u32) -> String| ids.iter().map(|id| row(*id)).collect::<Vec<_>>().join(", ");
    text.push_str(&format!("INSERT INTO users VALUES {};", rows(&|id| format!("({id}, 'user {id}')"))));
    for table in ["bookmarks", "notes"] {
        text.push_str(&format!(
            "CREATE TABLE {table} (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id INT NULL, page VARCHAR(80) NOT NULL);\
             INSERT INTO {table} (user_id, page) VALUES {};",
            rows(&|id| format!("({id}, 'page {id}')"))
        ));
    }
    text.push_str("DELETE FROM users WHERE id % 10 = 0;");
    text
}
