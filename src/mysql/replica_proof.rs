//! The proof on the replicas: each has applied everything that the server had committed when its keys were proven, has every key in its
//! catalogue, and no child without a parent. A replica can differ from its server, and nothing else would notice.

use std::time::{Duration, Instant};

use super::error::{Cause, Error};
use super::goal::same_key;
use super::operations::milliseconds;
use super::orphan_query::Answer;
use super::report::{KeyProof, ReplicaProof};
use super::session::Work;
use crate::plan::Operation;
use crate::plan::catalogue::ForeignKey;
use crate::plan::model::Action;

/// Proves the keys that a section adds on every replica, so that no other stage is built on one that differs.
///
/// # Errors
/// As [`prove`]; [`Cause::VerificationFailed`] with everything that does not hold.
pub(crate) async fn prove_section(work: &Work<'_>, operations: &[&Operation]) -> Result<(), Error> {
    let added = operations.iter().filter_map(|operation| match &operation.action {
        Action::AddForeignKey { key, .. } => Some(key),
        _ => None,
    });
    let keys: Vec<&ForeignKey> = added.collect();
    if keys.is_empty() || work.replicas.is_empty() {
        return Ok(());
    }
    let mut failures = Vec::new();
    prove(work, &keys, &mut failures).await?;
    if failures.is_empty() {
        return Ok(());
    }
    Err(Error::new(Cause::VerificationFailed, failures.join("; ")))
}

/// Proves the keys on every replica. What does not hold is added to `failures`.
///
/// # Errors
/// [`Cause::ReplicaNotReady`] when one cannot be read, or does not catch up; [`Cause::Stopped`].
pub(crate) async fn prove(
    work: &Work<'_>,
    keys: &[&ForeignKey],
    failures: &mut Vec<String>,
) -> Result<Vec<ReplicaProof>, Error> {
    let tables: Vec<_> = keys.iter().flat_map(|key| [key.child.clone(), key.parent.clone()]).collect();
    let applied = work.replicas.wait_until_applied(work, "the proof", &tables, Duration::ZERO).await?;
    let mut proofs = Vec::new();
    for mut one in work.replicas.in_hand(work.journal.server_uuid()).await? {
        let (name, replica) = (one.target().name(), one.target().place());
        let connection = one.connection();
        let catalogue = connection.keys(&work.plan.schema).await?;
        let mut proof = ReplicaProof {
            replica,
            server_uuid: connection.server_uuid().to_owned(),
            applied: applied.clone(),
            keys: Vec::with_capacity(keys.len()),
        };
        for &key in keys {
            work.stop.check()?;
            work.progress.update(|reading| reading.activity = format!("proving {} on {name}", key.name));
            if !catalogue.iter().any(|found| same_key(found, key)) {
                failures.push(format!(
                    "on {name} the key {} of {} is not in the catalogue as planned",
                    key.name, key.child
                ));
                continue;
            }
            let begun = Instant::now();
            let Answer { orphans, query } = connection.orphans(key, work.stop).await?;
            if orphans > 0 {
                failures.push(format!(
                    "on {name} {orphans} rows of {} refer to no row of {} ({}), and on the server none does: the replica differs from it, build it anew",
                    key.child, key.parent, key.name
                ));
                continue;
            }
            proof.keys.push(KeyProof { key: key.clone(), orphans, query, milliseconds: milliseconds(begun.elapsed()) });
        }
        proofs.push(proof);
        one.give_back();
    }
    Ok(proofs)
}
