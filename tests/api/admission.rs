//! Who may approve, and who may write a migration: users who have the right and users who have not.

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    cluster::{Cluster, Policies, manifest, object, refusal},
    users::{AUTHOR, CREATE_APPROVALS, CREATE_JOBS, CREATE_SNAPSHOTS, GET_SECRET, Right, WRITE_MIGRATIONS},
};

const ALICE: &str = "alice@example.com";

async fn create(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<DynamicObject, kube::Error> {
    api.create(&PostParams::default(), object).await
}

#[tokio::test]
async fn an_approval_in_ones_own_name_is_accepted() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(ALICE, &[CREATE_APPROVALS]).await;
    let api = cluster.api_as(ALICE, "MigrationApproval").await;
    create(&api, &object(&manifest("good/approval.yaml"))).await.unwrap();
}

#[tokio::test]
async fn an_approval_in_another_name_is_refused_even_to_an_administrator() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant("bob@example.com", &[CREATE_APPROVALS]).await;
    let approval = object(&manifest("good/approval.yaml"));
    let status = refusal(create(&cluster.api_as("bob@example.com", "MigrationApproval").await, &approval).await);
    let message = "spec.approvedBy is alice@example.com, but the API server knows you as bob@example.com";
    assert_eq!(status.code, 403);
    assert!(status.message.contains(message), "{}", status.message);
    let status = refusal(create(&cluster.api("MigrationApproval"), &approval).await);
    assert!(status.message.contains("spec.approvedBy is alice@example.com, but"), "{}", status.message);
}

#[tokio::test]
async fn without_the_right_to_create_approvals_nobody_approves() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(ALICE, &AUTHOR).await;
    let approval = object(&manifest("good/approval.yaml"));
    let status = refusal(create(&cluster.api_as(ALICE, "MigrationApproval").await, &approval).await);
    assert_eq!(status.code, 403);
    assert!(status.message.contains("cannot create resource \"migrationapprovals\""), "{}", status.message);
}

#[tokio::test]
async fn a_service_account_approves_under_its_own_name() {
    let cluster = Cluster::new(Policies::Always).await;
    let account = "system:serviceaccount:argocd:application-controller";
    cluster.grant(account, &[CREATE_APPROVALS]).await;
    let mut approval = object(&manifest("good/approval.yaml"));
    let api = cluster.api_as(account, "MigrationApproval").await;
    refusal(create(&api, &approval).await);
    approval.data["spec"]["approvedBy"] = json!(account);
    create(&api, &approval).await.unwrap();
}

#[tokio::test]
async fn an_author_who_may_create_jobs_and_get_the_secret_writes_a_migration() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(ALICE, &AUTHOR).await;
    let api = cluster.api_as(ALICE, "SchemaMigration").await;
    create(&api, &object(&manifest("good/minimal.yaml"))).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"execution": {"maxRetries": 3}}}));
    api.patch("minimal", &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test]
async fn an_author_who_may_not_create_jobs_is_refused() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(ALICE, &[WRITE_MIGRATIONS, GET_SECRET]).await;
    let api = cluster.api_as(ALICE, "SchemaMigration").await;
    let status = refusal(create(&api, &object(&manifest("good/minimal.yaml"))).await);
    let message = format!("{ALICE} may not create Jobs in namespace {}", cluster.namespace);
    assert_eq!(status.code, 403);
    assert!(status.message.contains(&message), "{}", status.message);
}

#[tokio::test]
async fn an_author_who_wants_a_volume_snapshot_must_be_allowed_to_create_one() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(ALICE, &AUTHOR).await;
    let api = cluster.api_as(ALICE, "SchemaMigration").await;
    let migration = object(&manifest("good/volume-snapshot.yaml"));
    let status = refusal(create(&api, &migration).await);
    let message = format!("{ALICE} may not create VolumeSnapshots in namespace {}", cluster.namespace);
    assert_eq!(status.code, 403);
    assert!(status.message.contains(&message), "{}", status.message);
    let bob = "bob@example.com";
    cluster.grant(bob, &[WRITE_MIGRATIONS, CREATE_JOBS, GET_SECRET, CREATE_SNAPSHOTS]).await;
    create(&cluster.api_as(bob, "SchemaMigration").await, &migration).await.unwrap();
}

#[tokio::test]
async fn an_author_must_be_allowed_to_get_every_secret_that_the_migration_names() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(ALICE, &AUTHOR).await;
    let api = cluster.api_as(ALICE, "SchemaMigration").await;
    let s3 = json!({"type": "S3", "s3": {"bucket": "backups", "region": "eu-west-1", "credentialsSecretRef": {"name": "s3"}}});
    let private = json!({"type": "S3", "s3": {"bucket": "backups", "endpoint": "https://minio", "credentialsSecretRef": {"name": "shop-migrator"},
        "caSecretRef": {"name": "minio-ca", "key": "k"}}});
    let evidence = |environment: &str, secret: &str| json!({"environment": environment, "publicKeySecretRef": {"name": secret, "key": "k"}, "evidence": {"inline": "{}"}});
    for (pointer, value, path, secret) in [
        ("/spec/database/credentialsSecretRef/name", json!("root"), "spec.database.credentialsSecretRef", "root"),
        (
            "/spec/database/tls",
            json!({"caSecretRef": {"name": "ca", "key": "k"}}),
            "spec.database.tls.caSecretRef",
            "ca",
        ),
        ("/spec/jobs", json!({"credentialsSecretRef": {"name": "app"}}), "spec.jobs.credentialsSecretRef", "app"),
        ("/spec/backup/job/destination", s3, "spec.backup.job.destination.s3.credentialsSecretRef", "s3"),
        ("/spec/backup/job/destination", private, "spec.backup.job.destination.s3.caSecretRef", "minio-ca"),
        (
            "/spec/promotion",
            json!({"environment": "dev", "signingKeySecretRef": {"name": "signing", "key": "private.pem"}}),
            "spec.promotion.signingKeySecretRef",
            "signing",
        ),
        (
            "/spec/promotion",
            json!({"environment": "prod", "requires": [evidence("dev", "shop-migrator"), evidence("staging", "key")]}),
            "spec.promotion.requires[1].publicKeySecretRef",
            "key",
        ),
    ] {
        let mut migration = object(&manifest("good/minimal.yaml"));
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        migration.data.pointer_mut(parent).unwrap()[name] = value;
        let status = refusal(create(&api, &migration).await);
        let message = format!("{path} names the Secret {secret}, and {ALICE} may not get it");
        assert!(status.message.contains(&message), "{path}: {}", status.message);
    }
}

#[tokio::test]
async fn an_author_who_has_the_operator_look_into_logs_must_be_allowed_to_read_them() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.grant(ALICE, &AUTHOR).await;
    let mut migration = object(&manifest("good/minimal.yaml"));
    migration.data["spec"]["soak"] = json!({"duration": "1m"});
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let api = cluster.api_as(ALICE, "SchemaMigration").await;
    api.create(&dry_run, &migration).await.unwrap();
    migration.data["spec"]["soak"]["logs"] = json!({"selector": {"app": "shop"}, "pattern": "secret=[0-9]+"});
    let status = refusal(create(&api, &migration).await);
    let message = format!("{ALICE} may not get pods/log in namespace {}", cluster.namespace);
    assert!(status.message.contains(&message), "{}", status.message);
    let bob = "bob@example.com";
    let logs = Right { group: "", resource: "pods/log", verbs: &["get"], names: &[] };
    cluster.grant(bob, &[WRITE_MIGRATIONS, CREATE_JOBS, GET_SECRET, logs]).await;
    create(&cluster.api_as(bob, "SchemaMigration").await, &migration).await.unwrap();
}

#[tokio::test]
async fn an_author_who_may_get_every_secret_may_name_as_many_as_the_schema_allows() {
    let cluster = Cluster::new(Policies::Always).await;
    let all_secrets = Right { names: &[], ..GET_SECRET };
    cluster.grant(ALICE, &[WRITE_MIGRATIONS, CREATE_JOBS, all_secrets]).await;
    let mut migration = object(&manifest("good/everything-of-later-versions.yaml"));
    let required: Vec<_> = (0..8)
        .map(|n| json!({"environment": format!("e{n}"), "publicKeySecretRef": {"name": format!("k{n}"), "key": "k"}, "evidence": {"inline": "{}"}}))
        .collect();
    migration.data["spec"]["promotion"] = json!({"environment": "prod", "requires": required,
        "signingKeySecretRef": {"name": "signing", "key": "private.pem"}});
    migration.data["spec"]["database"]["tls"] = json!({"caSecretRef": {"name": "ca", "key": "k"}});
    migration.data["spec"]["jobs"] = json!({"credentialsSecretRef": {"name": "app"}});
    migration.data["spec"]["backup"]["job"]["destination"]["s3"]["caSecretRef"] =
        json!({"name": "minio-ca", "key": "k"});
    create(&cluster.api_as(ALICE, "SchemaMigration").await, &migration).await.unwrap();
}

#[tokio::test]
async fn somebody_elses_migration_cannot_be_turned_to_another_secret() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.create("good/minimal.yaml").await;
    cluster.grant(ALICE, &AUTHOR).await;
    let api = cluster.api_as(ALICE, "SchemaMigration").await;
    let patch = Patch::Merge(json!({"spec": {"database": {"credentialsSecretRef": {"name": "root"}}}}));
    let status = refusal(api.patch("minimal", &PatchParams::default(), &patch).await);
    assert!(status.message.contains("names the Secret root"), "{}", status.message);
}

#[tokio::test]
async fn a_user_without_the_authors_rights_cannot_change_what_is_done_with_them() {
    let cluster = Cluster::new(Policies::Always).await;
    cluster.create("good/minimal.yaml").await;
    cluster.grant(ALICE, &[WRITE_MIGRATIONS]).await;
    let api = cluster.api_as(ALICE, "SchemaMigration").await;
    for spec in [
        json!({"stages": null, "uniqueConstraints": [{"name": "u", "table": "a", "columns": ["b"]}]}),
        json!({"acknowledge": [{"hazard": "Triggers", "table": "a"}]}),
        json!({"schemaUpdate": {"podTemplateRef": {"name": "mine"}}}),
        json!({"mode": "Plan"}),
    ] {
        let patch = Patch::Merge(json!({"spec": spec}));
        let status = refusal(api.patch("minimal", &PatchParams::default(), &patch).await);
        assert!(status.message.contains("may not create Jobs"), "{}", status.message);
    }
    let contact = Patch::Merge(json!({"spec": {"contact": "alice"}, "metadata": {"labels": {"a": "b"}}}));
    api.patch("minimal", &PatchParams::default(), &contact).await.unwrap();
}

#[tokio::test]
async fn a_gate_that_the_administrator_requires_can_be_neither_left_out_nor_removed() {
    let cluster = Cluster::new(Policies::WithRequiredGate).await;
    let api = cluster.api("SchemaMigration");
    let mut migration = object(&manifest("good/minimal.yaml"));
    let gate = json!({"before": {"phase": "CleanUp"}, "approval": "Required"});
    let window = json!({"before": {"phase": "CleanUp"}, "window": {"start": "02:00", "duration": "2h"}});
    let other = json!({"before": {"phase": "Complete"}, "approval": "Required"});
    for gates in [json!([]), json!([other]), json!([window])] {
        migration.data["spec"]["gates"] = gates;
        let status = refusal(create(&api, &migration).await);
        let message = "the administrator requires an approval before CleanUp: add {before: {phase: CleanUp}, approval: Required} to spec.gates";
        assert!(status.message.contains(message), "{}", status.message);
    }
    migration.data["spec"]["gates"] = json!([gate]);
    create(&api, &migration).await.unwrap();
    let removed = Patch::Merge(json!({"spec": {"gates": []}}));
    refusal(api.patch("minimal", &PatchParams::default(), &removed).await);
    let suspended = Patch::Merge(json!({"spec": {"suspend": true}}));
    api.patch("minimal", &PatchParams::default(), &suspended).await.unwrap();
}
