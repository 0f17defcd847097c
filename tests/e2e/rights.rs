//! The operator's rights, held against what it asked the API server for in all the cases before: nothing was refused, and every right was
//! needed, so that without it something would fail. Runs alone, after the others: tests/e2e/run.sh.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::harness::Outcome;
use super::harness::kubectl::run;
use super::harness::operator::NAMESPACE;

/// This cluster has no CSI driver.
const OF_SNAPSHOTS: &str = "for backups of type VolumeSnapshot: tests/controller/volume_snapshots.rs fails without it";
/// Rights that no request on this cluster shows, with the reason why they are there.
const NOT_SEEN: [(&str, &str); 5] = [
    (
        "holdfast.dev/schemamigrations/finalizers update",
        "asked for by the admission plugin OwnerReferencesPermissionEnforcement, which this cluster does not run",
    ),
    ("events.k8s.io/events patch", "an event that repeats, which needs a case that lasts for minutes"),
    ("/persistentvolumeclaims get", OF_SNAPSHOTS),
    ("snapshot.storage.k8s.io/volumesnapshots get", OF_SNAPSHOTS),
    ("snapshot.storage.k8s.io/volumesnapshots create", OF_SNAPSHOTS),
];

/// `group/resource verb`, as both sides are written.
fn right(group: &str, resource: &str, verb: &str) -> String {
    format!("{group}/{resource} {verb}")
}

fn texts<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    value[member].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str)
}

/// Every right of the roles that are bound to the operator's service account.
fn granted() -> Outcome<BTreeSet<String>> {
    let roles = "roles.rbac.authorization.k8s.io,clusterroles.rbac.authorization.k8s.io";
    let selector = ["--selector", "app.kubernetes.io/name=holdfast", "--output", "json"];
    let text = run("kubectl", &[&["get", roles, "--namespace", NAMESPACE], &selector[..]].concat(), None)?;
    let found: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut granted = BTreeSet::new();
    for rule in found["items"].as_array().into_iter().flatten().flat_map(|role| role["rules"].as_array()).flatten() {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                granted.extend(texts(rule, "verbs").map(|verb| right(group, resource, verb)));
            }
        }
    }
    Ok(granted)
}

/// What was asked for and allowed, and what was refused.
fn asked(log: &str) -> Outcome<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut allowed, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let object = &entry["objectRef"];
        let Some(resource) = object["resource"].as_str() else { continue };
        let resource = match object["subresource"].as_str() {
            Some(part) => format!("{resource}/{part}"),
            None => resource.to_owned(),
        };
        let verb = entry["verb"].as_str().unwrap_or_default();
        let right = right(object["apiGroup"].as_str().unwrap_or_default(), &resource, verb);
        match entry["annotations"]["authorization.k8s.io/decision"].as_str() {
            Some("allow") => allowed.insert(right),
            _ => refused.insert(right),
        };
    }
    Ok((allowed, refused))
}

#[test]
#[ignore = "after all other cases: tests/e2e/run.sh runs it"]
fn the_operator_has_the_rights_that_it_uses_and_no_others() -> Outcome<()> {
    let path =
        std::env::var("HOLDFAST_AUDIT_LOG").map_err(|_| "HOLDFAST_AUDIT_LOG is not set: run tests/e2e/run.sh")?;
    let log = fs::read_to_string(&path).map_err(|error| {
        format!("{path}: {error}: a cluster of before writes none; take it down, and run this again")
    })?;
    let (allowed, refused) = asked(&log)?;
    assert_eq!(refused, BTreeSet::new(), "asked for without the right to");
    let excused: BTreeSet<String> = NOT_SEEN.iter().map(|(right, _)| (*right).to_owned()).collect();
    let granted = granted()?;
    let unused: Vec<&String> =
        granted.iter().filter(|right| !allowed.contains(*right) && !excused.contains(*right)).collect();
    assert_eq!(unused, Vec::<&String>::new(), "rights that nothing needed; what was asked for: {allowed:#?}");
    let unknown: Vec<&String> = excused.iter().filter(|right| !granted.contains(*right)).collect();
    assert_eq!(unknown, Vec::<&String>::new(), "excused, and not granted");
    Ok(())
}
