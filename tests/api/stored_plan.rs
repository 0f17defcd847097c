//! The plan as people and the operator find it in the cluster: readable beside the JSON, and the same plan when it is read back.

use std::collections::BTreeMap;

use holdfast::api::{Reason, SchemaMigration};
use holdfast::controller::plan_store;
use holdfast::plan::catalogue::{Flavour, Server, Version};
use holdfast::plan::digest::plan_digest;
use holdfast::plan::model::{Action, Estimate, LockClass, Operation, PLAN_FORMAT, Plan, Section, StagePlan};
use holdfast::plan::{Identifier, TableName};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::cluster::{Cluster, Policies};

fn name(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

/// A plan with one index to build, whose definition of the table is `image`.
pub(crate) fn plan(digest: &str, image: String) -> Plan {
    let table = TableName::new(name("shop"), name("bookmarks"));
    Plan {
        format: PLAN_FORMAT,
        digest: digest.to_owned(),
        content_digest: "sha256:content".to_owned(),
        server: Server {
            flavour: Flavour::MySql,
            version: Version { major: 9, minor: 7, patch: 0 },
            version_text: "9.7.0".to_owned(),
            server_uuid: "server".to_owned(),
            native_foreign_keys: false,
            lower_case_table_names: 0,
            settings: Default::default(),
        },
        schema: name("shop"),
        tables: BTreeMap::from([(table.to_string(), image)]),
        operations: vec![Operation {
            id: "001-add-index-by_user".to_owned(),
            section: Section::Stage(0),
            action: Action::AddIndex { table, index: name("by_user"), columns: vec![name("user_id")] },
            forward: Some("ALTER TABLE `shop`.`bookmarks` ADD INDEX `by_user` (`user_id`)".to_owned()),
            inverse: Some("ALTER TABLE `shop`.`bookmarks` DROP INDEX `by_user`".to_owned()),
            lock: LockClass::OnlineBuild,
            estimate: Estimate { rows: 1_000, bytes: 1_536, milliseconds: 3_000 },
            inverse_cost: None,
            path: "spec.stages[0].foreignKeys[0]".to_owned(),
        }],
        adopted: Vec::new(),
        stages: vec![StagePlan { name: "users".to_owned(), expect: Vec::new() }],
        acknowledged_triggers: Vec::new(),
        cascades: vec![],
        warnings: Vec::new(),
    }
}

#[tokio::test]
async fn a_stored_plan_reads_well_and_comes_back_as_it_was() {
    let cluster = Cluster::new(Policies::None).await;
    cluster.create("good/minimal.yaml").await;
    let migrations: Api<SchemaMigration> = Api::namespaced(cluster.admin.clone(), &cluster.namespace);
    let migration = migrations.get("minimal").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin.clone(), &cluster.namespace);
    let small = plan("", "CREATE TABLE `bookmarks`".to_owned());
    // Definitions of two million bytes need three objects.
    let large = plan("", "ü".repeat(1_000_000));
    for (mut plan, objects) in [(small, 1), (large, 3)] {
        plan.digest = plan_digest(&plan).unwrap();
        let stored = plan_store::store(&cluster.admin, &migration, &plan).await.unwrap();
        assert_eq!(stored.len(), objects);
        assert_eq!(plan_store::store(&cluster.admin, &migration, &plan).await.unwrap(), stored, "twice does no harm");
        let data = maps.get(&stored[0]).await.unwrap().data.unwrap();
        let page =
            "  001 Online               1,000 rows    1.5 KiB      3 s  add the index by_user on bookmarks (user_id)\n";
        assert!(data["plan.txt"].contains(page), "{}", data["plan.txt"]);
        assert!(data["forward.sql"].ends_with("ADD INDEX `by_user` (`user_id`);\n"), "{}", data["forward.sql"]);
        assert!(data["rollback.sql"].ends_with("DROP INDEX `by_user`;\n"), "{}", data["rollback.sql"]);
        let read = plan_store::load(&cluster.admin, &cluster.namespace, &plan.digest, &stored).await.unwrap().unwrap();
        assert_eq!(*read, plan);
        let first = &stored[..objects - 1];
        let part = plan_store::load(&cluster.admin, &cluster.namespace, &plan.digest, first).await.unwrap();
        assert!(part.is_err(), "a part is no plan");
    }
    // Other content under the digest that was approved.
    let mut other = plan("sha256:0123456789abcdef0", "CREATE TABLE `bookmarks`".to_owned());
    other.operations[0].forward = Some("DROP TABLE `shop`.`bookmarks`".to_owned());
    let stored = plan_store::store(&cluster.admin, &migration, &other).await.unwrap();
    let read = plan_store::load(&cluster.admin, &cluster.namespace, &other.digest, &stored).await.unwrap();
    let (reason, message) = read.unwrap_err();
    assert_eq!(reason, Reason::DriftDetected);
    assert!(message.contains("its content has the digest sha256:"), "{message}");
}
