//! Users by impersonation, with the rights that a test gives them.

use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
};
use kube::{
    Api, Client,
    api::{DynamicObject, ObjectMeta, PostParams},
};

use crate::cluster::{Cluster, Policies, eventually, manifest, object};

/// What a user may do: the verbs on a resource, and the names that they are limited to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Right {
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) verbs: &'static [&'static str],
    pub(crate) names: &'static [&'static str],
}

/// Reading and writing migrations, without any say over a running one.
pub(crate) const WRITE_MIGRATIONS: Right = Right {
    group: "holdfast.dev",
    resource: "schemamigrations",
    verbs: &["create", "get", "update", "patch", "delete"],
    names: &[],
};
/// The verb by which a person steers.
pub(crate) const APPROVE: Right =
    Right { group: "holdfast.dev", resource: "schemamigrations", verbs: &["approve"], names: &[] };
/// Creating approvals.
pub(crate) const CREATE_APPROVALS: Right =
    Right { group: "holdfast.dev", resource: "migrationapprovals", verbs: &["create", "get"], names: &[] };
/// Creating Jobs.
pub(crate) const CREATE_JOBS: Right = Right { group: "batch", resource: "jobs", verbs: &["create"], names: &[] };
/// Creating VolumeSnapshots.
pub(crate) const CREATE_SNAPSHOTS: Right =
    Right { group: "snapshot.storage.k8s.io", resource: "volumesnapshots", verbs: &["create"], names: &[] };
/// Reading the Secrets that the minimal migration names.
pub(crate) const GET_SECRET: Right =
    Right { group: "", resource: "secrets", verbs: &["get"], names: &["shop-migrator"] };
/// What an author needs.
pub(crate) const AUTHOR: [Right; 3] = [WRITE_MIGRATIONS, CREATE_JOBS, GET_SECRET];

impl Cluster {
    /// Gives a user rights in the namespace, and waits until the API server knows of it.
    pub(crate) async fn grant(&self, user: &str, rights: &[Right]) {
        let metadata = ObjectMeta { name: Some(user.replace('@', ".")), ..ObjectMeta::default() };
        let text = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let rules = rights
            .iter()
            .map(|right| PolicyRule {
                api_groups: Some(text(&[right.group])),
                resources: Some(text(&[right.resource])),
                verbs: text(right.verbs),
                resource_names: (!right.names.is_empty()).then(|| text(right.names)),
                ..PolicyRule::default()
            })
            .collect();
        let role = Role { metadata: metadata.clone(), rules: Some(rules) };
        let binding = RoleBinding {
            role_ref: RoleRef {
                api_group: "rbac.authorization.k8s.io".to_owned(),
                kind: "Role".to_owned(),
                name: user.replace('@', "."),
            },
            subjects: Some(vec![Subject { kind: "User".to_owned(), name: user.to_owned(), ..Subject::default() }]),
            metadata,
        };
        let (admin, namespace) = (&self.admin, self.namespace.as_str());
        Api::namespaced(admin.clone(), namespace).create(&PostParams::default(), &role).await.unwrap();
        Api::namespaced(admin.clone(), namespace).create(&PostParams::default(), &binding).await.unwrap();
        for right in rights {
            for verb in right.verbs {
                eventually(&format!("{user} to be allowed to {verb} {}", right.resource), async || {
                    self.allowed(user, right, verb).await.then_some(()).ok_or_else(|| "not allowed".to_owned())
                })
                .await;
            }
        }
    }

    async fn allowed(&self, user: &str, right: &Right, verb: &str) -> bool {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.to_owned()),
                groups: Some(vec!["system:authenticated".to_owned()]),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(self.namespace.clone()),
                    group: Some(right.group.to_owned()),
                    resource: Some(right.resource.to_owned()),
                    verb: Some(verb.to_owned()),
                    name: right.names.first().map(|&name| name.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.admin.clone());
        api.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
    }

    /// Creates the object of a manifest as the administrator.
    pub(crate) async fn create(&self, path: &str) -> DynamicObject {
        let object = object(&manifest(path));
        let kind = object.types.as_ref().unwrap().kind.clone();
        self.api(&kind).create(&PostParams::default(), &object).await.unwrap()
    }
}

/// Waits until the API server enforces the policies, each shown by something that it refuses and nothing else does.
pub(crate) async fn wait_for_policies(admin: &Client) {
    let policed = Cluster::bare(admin, Policies::Always).await;
    let gated = Cluster::bare(admin, Policies::WithRequiredGate).await;
    policed.grant("probe-writer", &[WRITE_MIGRATIONS]).await;
    policed.grant("probe-author", &AUTHOR).await;
    let approval = object(&manifest("good/approval.yaml"));
    let migration = object(&manifest("good/minimal.yaml"));
    let mut steered = migration.clone();
    steered.metadata.annotations = Some([("holdfast.dev/abort-at".to_owned(), "now".to_owned())].into());
    let refused = [
        ("approved-by", policed.api("MigrationApproval"), approval),
        ("required-gates", gated.api("SchemaMigration"), migration.clone()),
        ("authors", policed.api_as("probe-writer", "SchemaMigration").await, migration),
        ("steering", policed.api_as("probe-author", "SchemaMigration").await, steered),
    ];
    for (policy, api, object) in refused {
        eventually(&format!("the policy {policy} to be enforced"), async || {
            let dry_run = PostParams { dry_run: true, ..PostParams::default() };
            match api.create(&dry_run, &object).await {
                Err(error) if error.to_string().contains(policy) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}
