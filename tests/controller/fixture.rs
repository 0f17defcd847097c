//! A rollout as another build of the operator left it, in files: its resources, the definitions that they were stored by, and the
//! schemas of its database. Taken from a running cluster and server, and laid into others.

use std::fs;
use std::path::PathBuf;

use holdfast::api::crd;
use holdfast::mysql::SessionLimits;
use holdfast::plan::Identifier;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};

use crate::place::Place;
use crate::server::{eventually, root};

/// Stands in the files for the identity of the server, so that the server they are laid into is the same one for the operator.
const SERVER: &str = "SERVER-UUID";

/// The files of one build.
#[derive(Clone)]
pub(crate) struct Fixture {
    /// The custom resource definitions.
    pub(crate) definitions: String,
    /// The migration with its status, its approvals and its plan.
    pub(crate) objects: String,
    /// The statements that make the schemas.
    pub(crate) database: String,
}

impl Fixture {
    fn folder(build: &str) -> PathBuf {
        root().join("tests/controller/upgrades").join(build)
    }

    pub(crate) fn read(build: &str) -> Self {
        let file = |name: &str| {
            let path = Self::folder(build).join(name);
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Self { definitions: file("definitions.yaml"), objects: file("objects.yaml"), database: file("database.sql") }
    }

    pub(crate) fn write(&self, build: &str) {
        let folder = Self::folder(build);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("definitions.yaml"), &self.definitions).unwrap();
        fs::write(folder.join("objects.yaml"), &self.objects).unwrap();
        fs::write(folder.join("database.sql"), &self.database).unwrap();
    }

    /// Takes a migration and the schemas of its database as they are.
    pub(crate) async fn take(place: &Place, name: &str, schemas: &[&str]) -> Self {
        let mut objects = vec![place.read(name).await];
        for approval in place.objects("MigrationApproval").list(&ListParams::default()).await.unwrap() {
            objects.push(serde_json::to_value(approval).unwrap());
        }
        for map in config_maps(place).list(&ListParams::default()).await.unwrap() {
            let mut value = serde_json::to_value(map).unwrap();
            (value["apiVersion"], value["kind"]) = (json!("v1"), json!("ConfigMap"));
            objects.push(value);
        }
        for object in &mut objects {
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.retain(|field, _| {
                ["name", "namespace", "uid", "finalizers", "ownerReferences"].contains(&field.as_str())
            });
        }
        let uuid = server_uuid(place).await;
        let mut database = String::from("SET SESSION foreign_key_checks = 0;\n");
        for schema in schemas {
            dump(place, schema, &mut database).await;
        }
        database.push_str("SET SESSION foreign_key_checks = 1;\n");
        Self {
            definitions: documents(crd::definitions().unwrap().iter()),
            objects: documents(objects.iter()).replace(&uuid, SERVER),
            database: database.replace(&uuid, SERVER),
        }
    }

    /// Every occurrence of a text in the resources and the database replaced, as if the other build had written that.
    pub(crate) fn replacing(&self, text: &str, by: &str) -> Self {
        assert!(self.objects.contains(text), "{text} is nowhere in the fixture");
        let mut changed = self.clone();
        changed.objects = changed.objects.replace(text, by);
        changed.database = changed.database.replace(text, by);
        changed
    }

    /// The resources, in the order in which they were written.
    pub(crate) fn values(&self) -> Vec<Value> {
        values(&self.objects)
    }

    /// Installs the definitions of that build.
    pub(crate) async fn install_definitions(&self, client: &Client) {
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        for value in values(&self.definitions) {
            put_definition(&api, &serde_json::from_value(value).unwrap()).await;
        }
    }

    /// Makes the schemas, and in the place's namespace the resources, all as they were.
    pub(crate) async fn restore(&self, place: &Place) {
        let uuid = server_uuid(place).await;
        place.sql(&self.database.replace(SERVER, &uuid)).await;
        let mut owner = Value::Null;
        for mut value in values(&self.objects.replace(SERVER, &uuid)) {
            let metadata = value["metadata"].as_object_mut().unwrap();
            metadata.insert("namespace".to_owned(), json!(place.namespace));
            if let Some(references) = metadata.get_mut("ownerReferences") {
                references[0]["uid"] = owner.clone();
            }
            let kind = value["kind"].as_str().unwrap().to_owned();
            match kind.as_str() {
                "ConfigMap" => {
                    let map: ConfigMap = serde_json::from_value(value).unwrap();
                    config_maps(place).create(&PostParams::default(), &map).await.unwrap();
                }
                "SchemaMigration" => {
                    let database = &mut value["spec"]["database"];
                    (database["host"], database["port"]) = (json!(place.target.host), json!(place.target.port));
                    owner = restore_migration(place, value).await;
                }
                _ => {
                    let object: DynamicObject = serde_json::from_value(value).unwrap();
                    place.objects(&kind).create(&PostParams::default(), &object).await.unwrap();
                }
            }
        }
    }
}

/// Creates a migration and gives it its status back; its new uid.
async fn restore_migration(place: &Place, value: Value) -> Value {
    let status = Patch::Merge(json!({"status": value["status"]}));
    let object: DynamicObject = serde_json::from_value(value).unwrap();
    let created = place.migrations().create(&PostParams::default(), &object).await.unwrap();
    place.migrations().patch_status(&object.name_any(), &PatchParams::default(), &status).await.unwrap();
    json!(created.uid())
}

/// Installs a definition, or brings it up to date, and waits until it is served.
pub(crate) async fn put_definition(api: &Api<CustomResourceDefinition>, definition: &CustomResourceDefinition) {
    let name = definition.name_any();
    let parameters = PatchParams::apply("tests").force();
    api.patch(&name, &parameters, &Patch::Apply(definition)).await.unwrap();
    eventually(&format!("{name} to be established"), async || {
        let conditions = api.get(&name).await.unwrap().status.and_then(|status| status.conditions).unwrap_or_default();
        let established = conditions.iter().any(|each| each.type_ == "Established" && each.status == "True");
        if established { Ok(()) } else { Err(format!("{conditions:?}")) }
    })
    .await;
}

pub(crate) fn config_maps(place: &Place) -> Api<ConfigMap> {
    Api::namespaced(place.client.clone(), &place.namespace)
}

async fn server_uuid(place: &Place) -> String {
    place.one_text("SELECT @@server_uuid").await
}

fn documents<T: serde::Serialize>(all: impl Iterator<Item = T>) -> String {
    all.map(|each| format!("---\n{}", serde_yaml::to_string(&each).unwrap())).collect()
}

fn values(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|each| Value::deserialize(each).unwrap()).collect()
}

/// The statements that make a schema with everything in it.
async fn dump(place: &Place, schema: &str, into: &mut String) {
    let mut connection = place.target.connect(SessionLimits::default()).await.unwrap();
    let quoted = Identifier::new(schema).unwrap().quoted();
    connection.run(&format!("USE {quoted}")).await.unwrap();
    into.push_str(&format!("DROP SCHEMA IF EXISTS {quoted};\nCREATE SCHEMA {quoted};\nUSE {quoted};\n"));
    let mut ask =
        async |statement: String| sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(connection.raw()).await.unwrap();
    let of = "FROM information_schema";
    let tables =
        ask(format!("SELECT table_name {of}.tables WHERE table_schema = '{schema}' ORDER BY table_name")).await;
    for table in tables {
        let table: String = table.get(0);
        let name = Identifier::new(table.as_str()).unwrap().quoted();
        let made: String = ask(format!("SHOW CREATE TABLE {name}")).await[0].get(1);
        into.push_str(&format!("{made};\n"));
        let columns = ask(format!(
            "SELECT column_name {of}.columns WHERE table_schema = '{schema}' AND table_name = '{table}' AND generation_expression = '' \
             ORDER BY ordinal_position"
        ))
        .await;
        let columns: Vec<String> =
            columns.iter().map(|row| Identifier::new(row.get::<String, _>(0)).unwrap().quoted()).collect();
        let literals: Vec<String> = columns.iter().map(|column| format!("QUOTE({column})")).collect();
        let rows = ask(format!("SELECT CONCAT_WS(', ', {}) FROM {name} ORDER BY 1", literals.join(", "))).await;
        for row in rows {
            let values: String = row.get(0);
            into.push_str(&format!("INSERT INTO {name} ({}) VALUES ({values});\n", columns.join(", ")));
        }
    }
    connection.close().await.unwrap();
}
