//! How the server stands among others: alone or as the one primary of its group, and always the same one behind its address. Clusters
//! whose nodes all take writes, and addresses that reach several servers, are refused.

use std::collections::BTreeSet;

use super::connection::{Connection, Role, SessionLimits, Target};
use super::error::{Cause, Error};
use super::preflight::{hint_at_performance_schema, number};
use super::server::variable;

/// Connections beside the first. Of two servers that are drawn by chance one stays unseen in 1 of 128 cases, and every later connection
/// of a migration looks which server answers, too.
const LOOKS: usize = 7;

/// Looks whether every connection reaches the server of the first. Every connection of a migration is its own, and where a Service or
/// a proxy hands them to several servers, the lock that keeps others away, the change and its proof would each be on another one.
///
/// # Errors
/// [`Cause::ServerUnsupported`] where several servers answer; what opening a connection meets.
pub async fn check_one_server(target: &Target, first: &Connection) -> Result<(), Error> {
    let mut found = BTreeSet::from([first.server_uuid.clone()]);
    for _ in 0..LOOKS {
        // As a reader: the other server may be a replica, and is named all the same.
        let connection = target.connect_as(Role::Reader, SessionLimits::default()).await?;
        found.insert(connection.server_uuid.clone());
        connection.close().await?;
    }
    if found.len() < 2 {
        return Ok(());
    }
    let found: Vec<String> = found.into_iter().collect();
    Err(Error::new(
        Cause::ServerUnsupported,
        format!(
            "spec.database.host is {}, behind which {} servers answer ({}): name one server that takes writes, such as a Service of the primary alone",
            target.host,
            found.len(),
            found.join(", ")
        ),
    ))
}

/// Looks whether the server is the only one of its cluster that takes writes.
///
/// # Errors
/// [`Cause::ServerUnsupported`], or what the server answers.
pub(super) async fn check(connection: &mut Connection) -> Result<(), Error> {
    let galera = variable(connection, "wsrep_on").await?;
    let single_primary = variable(connection, "group_replication_single_primary_mode").await?;
    let members = if connection.dialect.has_performance_schema() {
        number(
            connection,
            "SELECT CAST(COUNT(*) AS UNSIGNED) FROM performance_schema.replication_group_members WHERE MEMBER_STATE = 'ONLINE'",
        )
        .await
        .map_err(|error| hint_at_performance_schema(error, "whether the server is in a replication group"))?
    } else {
        // MariaDB has no group replication; its clusters are Galera's.
        0
    };
    judge(galera.as_deref(), single_primary.as_deref(), members)
}

fn judge(galera: Option<&str>, single_primary: Option<&str>, members: u64) -> Result<(), Error> {
    let is = |value: Option<&str>, words: [&str; 2]| {
        value.is_some_and(|value| words.iter().any(|word| value.eq_ignore_ascii_case(word)))
    };
    if is(galera, ["ON", "1"]) {
        return Err(Error::new(
            Cause::ServerUnsupported,
            "the server is a node of a Galera cluster (wsrep_on = ON), where a schema change stops every node, and a lock of one node is unknown to the \
             others: Holdfast does not support it; use the cluster's own way to change a schema (wsrep_OSU_method)",
        ));
    }
    if members > 0 && is(single_primary, ["OFF", "0"]) {
        return Err(Error::new(
            Cause::ServerUnsupported,
            "the server is in a replication group with several primaries (group_replication_single_primary_mode = OFF), which do not check each \
             other's foreign keys: switch to one primary (SELECT group_replication_switch_to_single_primary_mode()), and name it in \
             spec.database.host",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn clusters_whose_nodes_all_take_writes_are_refused_with_what_to_do_instead() {
        for galera in ["ON", "1"] {
            let error = judge(Some(galera), None, 0).unwrap_err();
            assert_eq!(error.cause, Cause::ServerUnsupported);
            assert!(error.message.contains("Galera") && error.message.contains("wsrep_OSU_method"), "{error}");
        }
        let error = judge(None, Some("OFF"), 3).unwrap_err();
        assert_eq!(error.cause, Cause::ServerUnsupported);
        assert!(error.message.contains("group_replication_switch_to_single_primary_mode"), "{error}");
    }

    #[test]
    fn a_server_alone_and_the_primary_of_a_group_pass() {
        for (galera, single_primary, members) in
            [(None, None, 0), (Some("OFF"), None, 0), (None, Some("ON"), 3), (None, Some("OFF"), 0)]
        {
            judge(galera, single_primary, members).unwrap();
        }
    }
}
