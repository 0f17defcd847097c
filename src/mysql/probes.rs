//! Probes: every key's delete action shown on rows made up for it, in a cage. A key in the catalogue says what should happen;
//! a probe sees it happen.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::cage::{Cage, try_again};
use super::connection::{Connection, SessionLimits, Target, sql};
use super::drift::shown_key_names;
use super::error::{Cause, Error, code};
use super::row_shape::every;
use super::synthetic::{Maker, condition, referring};
use crate::plan::Identifier;
use crate::plan::catalogue::{ForeignKey, ReferentialAction};

/// A key whose action was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedKey {
    /// The key.
    pub key: Identifier,
    /// What the deletion of its parent did.
    pub on_delete: ReferentialAction,
}

/// A key that could not be probed: the caller decides what that means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnprobedKey {
    /// The key.
    pub key: Identifier,
    /// Why not.
    pub reason: String,
}

/// What probing showed. It exists only where no key behaved otherwise than it should.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Keys whose action was seen.
    pub probed: Vec<ProbedKey>,
    /// Keys that could not be probed.
    pub unprobed: Vec<UnprobedKey>,
}

/// Probes keys one after the other, each at most `limit` long.
///
/// # Errors
/// [`Cause::TestFailed`] naming the key that did not behave as it should; what the server answers, where it is neither that nor a
/// reason why a row cannot be made up.
pub async fn probe(
    target: &Target,
    schema: &Identifier,
    limit: Duration,
    keys: &[ForeignKey],
) -> Result<ProbeReport, Error> {
    let mut report = ProbeReport::default();
    let mut reader = target.connect(SessionLimits::default()).await?;
    let mut learned = Maker::new();
    for key in keys {
        match probe_key(target, schema, limit, (&mut reader, &mut learned), key).await {
            Ok(()) => report.probed.push(ProbedKey { key: key.name.clone(), on_delete: key.on_delete }),
            Err(error) if prevents_probing(&error) => {
                report.unprobed.push(UnprobedKey { key: key.name.clone(), reason: error.to_string() });
            }
            Err(error) => return Err(error.while_doing(format!("probing {} of {}", key.name, key.child))),
        }
    }
    reader.close().await?;
    Ok(report)
}

/// Errors that say something about the made-up row or about the moment, not about the key.
fn prevents_probing(error: &Error) -> bool {
    match error.cause {
        Cause::InvalidSpec | Cause::LockWaitTimeout => true,
        // Values that the table refuses: a CHECK, a range, a missing default, a unique index on an expression.
        Cause::Server => matches!(
            error.code,
            Some(
                code::DUPLICATE_ENTRY
                    | 1048
                    | 1264
                    | 1265
                    | 1292
                    | 1364
                    | 1366
                    | 1406
                    | code::CHECK_VIOLATED
                    | code::CHECK_VIOLATED_MARIADB
                    | 3140
                    | 1416
                    | 3643
            )
        ),
        _ => false,
    }
}

async fn probe_key(
    target: &Target,
    schema: &Identifier,
    limit: Duration,
    (reader, learned): (&mut Connection, &mut Maker),
    key: &ForeignKey,
) -> Result<(), Error> {
    for table in [&key.child, &key.parent] {
        if let Err(error) = learned.learn(reader, table).await {
            // What was learned on the way may lack a parent.
            *learned = Maker::new();
            return Err(error);
        }
    }
    let what = format!("probing {}", key.name);
    let mut tries = 1;
    loop {
        let mut cage = Cage::open(target, schema, limit, &what).await?;
        let outcome = tokio::time::timeout(cage.limit(), steps(&mut cage.connection, &mut learned.again(), key)).await;
        match cage.end(outcome).await {
            Ok(()) => return Ok(()),
            Err(error) => try_again(error, tries).await?,
        }
        tries += 1;
    }
}

fn failed(key: &ForeignKey, expected: &str, got: &str) -> Error {
    Error::new(Cause::TestFailed, format!("key {} of {}: expected {expected}, got {got}", key.name, key.child))
}

async fn steps(connection: &mut Connection, maker: &mut Maker, key: &ForeignKey) -> Result<(), Error> {
    let parent = maker.fresh_key(connection, &key.parent, &key.parent_columns).await?;
    // The child is completed after its parent's values are known but before the parent exists: it must be refused.
    maker.promise(&key.parent, &parent);
    let child = maker.values(connection, &key.child, referring(key, &parent)?, 0).await?;
    let of_parent = condition(&key.parent_columns, &parent)?;
    let mut of_child = condition(&key.columns, &child)?;
    if key.child == key.parent {
        // A parent that must refer to a row of its own table refers to itself, and is no child. What the child holds there may be NULL.
        of_child = format!("{of_child} AND ({of_parent}) IS NOT TRUE");
    }
    match maker.insert(connection, &key.child, &child).await {
        Err(error) if matches!(error.code, Some(code::NO_REFERENCED_ROW | 1216)) => {}
        Err(error) => return Err(error),
        Ok(()) => return Err(failed(key, "a child without a parent to be refused (1452)", "no error")),
    }
    maker.insert(connection, &key.parent, &parent).await?;
    maker.insert(connection, &key.child, &child).await?;
    let deletion = connection.run(&format!("DELETE FROM {} WHERE {of_parent}", key.parent.quoted())).await;
    let refused = match deletion {
        Ok(_) => None,
        Err(error) if matches!(error.code, Some(code::ROW_IS_REFERENCED | 1217)) => Some(error),
        Err(error) => return Err(error),
    };
    if let Some(error) = &refused
        && error.message.contains("CONSTRAINT `")
        && !shown_key_names(key).iter().any(|name| error.message.contains(&format!("CONSTRAINT {name}")))
    {
        return Err(Error::new(
            Cause::InvalidSpec,
            format!("another key refuses the parent's deletion first: {error}"),
        ));
    }
    let children = count(connection, key, &of_child).await?;
    match (key.on_delete, refused) {
        (ReferentialAction::Restrict | ReferentialAction::NoAction, Some(_)) if children == 1 => Ok(()),
        (ReferentialAction::Restrict | ReferentialAction::NoAction, Some(_)) => {
            Err(failed(key, "the child to stay", &format!("{children} children")))
        }
        (ReferentialAction::Restrict | ReferentialAction::NoAction, None) => {
            Err(failed(key, "the parent's deletion to be refused (1451)", "no error"))
        }
        (_, Some(error)) => Err(failed(key, "the parent's deletion to succeed", &error.to_string())),
        (ReferentialAction::Cascade, None) if children == 0 && !nulled(connection, maker, key, &child).await? => Ok(()),
        (ReferentialAction::SetNull, None) if nulled(connection, maker, key, &child).await? => Ok(()),
        (action, None) => Err(failed(
            key,
            &format!("the child to follow by {}", action.sql()),
            &format!("{children} children that still refer"),
        )),
    }
}

async fn count(connection: &mut Connection, key: &ForeignKey, condition: &str) -> Result<i64, Error> {
    let statement = format!("SELECT COUNT(*) FROM {} WHERE {condition}", key.child.quoted());
    Ok(sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?)
}

/// Whether the child is there with its reference nulled.
async fn nulled(
    connection: &mut Connection,
    maker: &Maker,
    key: &ForeignKey,
    child: &super::synthetic::Values,
) -> Result<bool, Error> {
    let primary = maker.primary_key(&key.child)?;
    let row = condition(&primary, child)?;
    let statement = format!(
        "SELECT COUNT(*) FROM {} t WHERE {row} AND {}",
        key.child.quoted(),
        every("t", &key.columns, "IS NULL")
    );
    let found: i64 = sqlx::raw_sql(sql(statement)).fetch_one(connection.raw()).await?.try_get(0)?;
    Ok(found == 1)
}
