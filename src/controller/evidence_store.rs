//! Where evidence lies: that of other environments in what the spec names, this migration's own in an immutable ConfigMap.
//!
//! That one has no owner. It is there to be shown elsewhere, so it must outlive what shows nothing any more: a migration that was taken
//! out of Git, pruned with its Application, or deleted and applied anew. It bears no label of any tool that prunes, and its
//! name holds the uid and the plan, so that no other migration ever comes to the same one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};

use crate::api::promotion::{EvidenceSource, Promotion};
use crate::api::status::EvidenceStatus;
use crate::api::{FIELD_MANAGER, SchemaMigration};
use crate::evidence::{Document, EVIDENCE_KEY, PrivateKey, PublicKey, Refusal, Signed};

use super::context::{PassError, asking};
use super::evidence::{FoundEvidence, OwnEvidence};
use super::failpoints::{Boundary, around};
use super::{names, target};

/// Labels of what holds evidence, by which people find it when its migration is gone.
const LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/managed-by", "holdfast"), ("app.kubernetes.io/component", "evidence")];

/// What the requirements of a promotion name, in their order.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn required(
    client: &Client,
    namespace: &str,
    promotion: &Promotion,
) -> Result<Vec<FoundEvidence>, PassError> {
    let mut found = Vec::new();
    for required in &promotion.requires {
        let reference = &required.public_key_secret_ref;
        let public_key = target::secret_key(client, namespace, &reference.name, &reference.key).await;
        found.push(FoundEvidence { text: text(client, namespace, &required.evidence).await?, public_key });
    }
    Ok(found)
}

async fn text(client: &Client, namespace: &str, source: &EvidenceSource) -> Result<Result<String, String>, PassError> {
    let reference = match (&source.config_map_ref, &source.inline) {
        (Some(reference), None) => reference,
        (None, Some(text)) => return Ok(Ok(text.clone())),
        // The API server refuses such an object.
        _ => return Ok(Err("exactly one of configMapRef and inline must be set".to_owned())),
    };
    let (name, key) = (&reference.name, &reference.key);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = maps.get_opt(name).await.map_err(asking(format!("reading the ConfigMap {name}")))?;
    let next = format!("put what kubectl holdfast evidence export prints there under the key {key:?}");
    Ok(match map.map(|map| map.data.unwrap_or_default().remove(key)) {
        // A file that is in Git before there is anything to put into it.
        Some(Some(text)) if text.trim().is_empty() => {
            Err(format!("the key {key:?} of the ConfigMap {namespace}/{name} is empty: {next}"))
        }
        Some(Some(text)) => Ok(text),
        Some(None) => Err(format!("the ConfigMap {namespace}/{name} has no key {key:?}: {next}")),
        None => Err(format!("the ConfigMap {namespace}/{name} does not exist: create it, and {next}")),
    })
}

/// The private key that a promotion names; `None` where it names none.
///
/// # Errors
/// Why it cannot be used.
pub(super) async fn signing_key(
    client: &Client,
    namespace: &str,
    promotion: &Promotion,
) -> Result<Option<PrivateKey>, String> {
    let Some(reference) = &promotion.signing_key_secret_ref else { return Ok(None) };
    let pem = target::secret_key(client, namespace, &reference.name, &reference.key).await?;
    let key = PrivateKey::from_pem(&pem);
    key.map(Some)
        .map_err(|error| format!("the key {:?} of the Secret {namespace}/{} {error}", reference.key, reference.name))
}

/// The evidence of a migration that is proven.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn own(
    client: &Client,
    migration: &SchemaMigration,
    promotion: &Promotion,
    plan_digest: &str,
) -> Result<OwnEvidence, PassError> {
    let namespace = migration.namespace().unwrap_or_default();
    let uid = migration.metadata.uid.as_deref().unwrap_or_default();
    let key = match signing_key(client, &namespace, promotion).await {
        Ok(key) => key.map(|key| key.public()),
        Err(why) => return Ok(OwnEvidence::Unusable(why)),
    };
    let name = names::evidence(&migration.name_any(), uid, plan_digest);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let Some(map) = maps.get_opt(&name).await.map_err(asking(format!("reading the ConfigMap {name}")))? else {
        let version = client.apiserver_version().await;
        if let Err(error) = &version {
            tracing::warn!(%error, "the version of the API server is not known, and left out of the evidence");
        }
        return Ok(OwnEvidence::Missing { kubernetes: version.ok().map(|version| version.git_version) });
    };
    let text = map.data.unwrap_or_default().remove(EVIDENCE_KEY).unwrap_or_default();
    let same = |document: &Document| document.migration.uid == uid && document.plan_digest == plan_digest;
    let not_ours =
        |why: String| OwnEvidence::Unusable(format!("the ConfigMap {namespace}/{name} is there, and {why}: delete it"));
    Ok(match read(&text, key.as_ref()) {
        Ok((signed, document)) if map.immutable == Some(true) && same(&document) => {
            OwnEvidence::Written(EvidenceStatus {
                config_map: name,
                digest: signed.digest(),
                signed_by: key.map(|key| key.id()),
            })
        }
        Ok(_) => not_ours("is not this migration's evidence".to_owned()),
        Err(refusal) => not_ours(format!("what it holds is not this migration's evidence ({refusal})")),
    })
}

fn read(text: &str, key: Option<&PublicKey>) -> Result<(Signed, Document), Refusal> {
    let signed = Signed::read(text)?;
    let document = match key {
        Some(key) => signed.verified(key)?,
        None => signed.unverified()?,
    };
    Ok((signed, document))
}

/// Signs and stores the evidence of a migration. One that is there stays: it was written by a pass that ended before it could see it.
///
/// # Errors
/// When the key or the API server is in the way.
pub(super) async fn write(client: &Client, migration: &SchemaMigration, document: &Document) -> Result<(), PassError> {
    let namespace = migration.namespace().unwrap_or_default();
    let Some(promotion) = &migration.spec.promotion else { return Ok(()) };
    let key = signing_key(client, &namespace, promotion).await.map_err(PassError::Content)?;
    let text = Signed::new(document, key.as_ref())
        .and_then(|signed| signed.text())
        .map_err(|error| PassError::Content(format!("writing the evidence: {error}")))?;
    let name = names::evidence(&migration.name_any(), &document.migration.uid, &document.plan_digest);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some(LABELS.map(|(label, value)| (label.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(BTreeMap::from([(EVIDENCE_KEY.to_owned(), text)])),
        binary_data: None,
    };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match around(Boundary::EvidenceWritten, maps.create(&parameters, &map)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(asking(format!("storing the evidence in the ConfigMap {name}"))(error)),
    }
}
