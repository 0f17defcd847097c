//! A database that cannot be used: no Secret, a wrong password, an old server, none at all.

use std::time::{Duration, Instant};

use serde_json::json;

use super::harness::Outcome;
use super::harness::kubectl::Kubectl;
use super::harness::migration::status_of;
use super::rollout::{END, Rollout, SOON, message};
use super::surroundings::{NAMESPACE, surroundings};

/// What the README says: trouble that may pass is borne for so long before the first change.
const PATIENCE: Duration = Duration::from_secs(120);

/// The migrator's password.
fn password(kubectl: &Kubectl) -> Outcome<String> {
    let encoded = kubectl.run(&["get", "secret", "shop-migrator", "--output", "jsonpath={.data.password}"])?;
    super::harness::kubectl::run("base64", &["--decode"], Some(&encoded))
}

/// Makes or replaces a Secret with the migrator's name and this password.
fn put_secret(kubectl: &Kubectl, name: &str, password: &str) -> Outcome<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"username": "migrator", "password": password}});
    kubectl.run_with_input(&["apply", "--server-side", "--filename", "-"], Some(&secret.to_string()))?;
    Ok(())
}

#[test]
fn a_missing_secret_is_waited_for_and_named() -> Outcome<()> {
    let case = Rollout::without_changes("late-secret");
    let kubectl = &case.migration.kubectl;
    kubectl.run(&["delete", "secret", "late-secret", "--ignore-not-found"])?;
    let mut manifest = case.manifest();
    manifest["spec"]["mode"] = json!("Plan");
    manifest["spec"]["database"]["credentialsSecretRef"]["name"] = json!("late-secret");
    case.apply(&manifest)?;
    let waiting = case.wait_for_message("Ready", "late-secret")?;
    case.expect_condition(&waiting, "Ready", "Unknown", "DependencyNotReady");
    case.expect_condition(&waiting, "Reconciling", "True", "DependencyNotReady");
    let told = message(&waiting, "Ready");
    assert!(told.contains(&format!("the Secret {NAMESPACE}/late-secret does not exist: create it")), "{told}");
    case.expect_event("DependencyNotReady", "late-secret")?;

    put_secret(kubectl, "late-secret", &password(kubectl)?)?;
    let end = case.wait_for("Succeeded", SOON)?;
    case.expect_condition(&end, "Finished", "True", "PlanOnly");
    case.expect_unchanged()
}

#[test]
fn a_secret_that_never_comes_ends_it_and_a_retry_begins_it_again() -> Outcome<()> {
    let case = Rollout::without_changes("no-secret");
    let kubectl = &case.migration.kubectl;
    kubectl.run(&["delete", "secret", "no-secret", "--ignore-not-found"])?;
    let mut manifest = case.manifest();
    manifest["spec"]["mode"] = json!("Plan");
    manifest["spec"]["database"]["credentialsSecretRef"]["name"] = json!("no-secret");
    let begun = Instant::now();
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    let took = begun.elapsed();
    assert!(took >= PATIENCE, "given up after {} s", took.as_secs());
    let texts = [&format!("the Secret {NAMESPACE}/no-secret does not exist: create it"), "holdfast.dev/retry-at"];
    case.expect_failed(&end, "PreflightPassed", "DependencyNotReady", &texts)?;

    put_secret(kubectl, "no-secret", &password(kubectl)?)?;
    case.retry()?;
    let end = case.wait_for("Succeeded", SOON)?;
    case.expect_condition(&end, "Finished", "True", "PlanOnly");
    case.expect_event("RequestAccepted", "begun again")?;
    case.expect_unchanged()
}

#[test]
fn a_wrong_password_ends_it_at_once_and_a_retry_begins_it_again() -> Outcome<()> {
    let case = Rollout::without_changes("wrong-password");
    let kubectl = &case.migration.kubectl;
    put_secret(kubectl, "wrong-password", "not-the-password-of-anyone")?;
    let mut manifest = case.manifest();
    manifest["spec"]["mode"] = json!("Plan");
    manifest["spec"]["database"]["credentialsSecretRef"]["name"] = json!("wrong-password");
    let begun = Instant::now();
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    assert!(begun.elapsed() < PATIENCE, "not at once, but after {} s", begun.elapsed().as_secs());
    let texts = ["1045", "\"migrator\"", &format!("the Secret {NAMESPACE}/wrong-password"), "holdfast.dev/retry-at"];
    case.expect_failed(&end, "PreflightPassed", "AccessDenied", &texts)?;

    put_secret(kubectl, "wrong-password", &password(kubectl)?)?;
    case.retry()?;
    let end = case.wait_for("Succeeded", SOON)?;
    case.expect_condition(&end, "Finished", "True", "PlanOnly");
    case.expect_unchanged()
}

#[test]
fn a_server_older_than_8_0_is_refused_with_its_version() -> Outcome<()> {
    let case = Rollout::without_changes("old-server");
    let kubectl = &surroundings().shop.kubectl;
    start_old_server(kubectl)?;
    let mut manifest = case.manifest();
    manifest["spec"]["database"]["host"] = json!("old-mysql");
    // That server has no certificate, and no TLS of today.
    manifest["spec"]["database"]["tls"] = json!({"mode": "Disabled"});
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    case.expect_failed(&end, "PreflightPassed", "UnsupportedServer", &["5.7.", "needs MySQL 8.0", "upgrade it"])
}

/// A MySQL 5.7 with the same account and an empty schema of the same name.
fn start_old_server(kubectl: &Kubectl) -> Outcome<()> {
    let (schema, password) = (&surroundings().unchanged.0.name, password(kubectl)?);
    let accounts = format!(
        "CREATE DATABASE {schema};\nCREATE USER 'migrator'@'%' IDENTIFIED BY '{password}';\nGRANT ALL ON *.* TO 'migrator'@'%';\n"
    );
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "old-mysql"}, "stringData": {"accounts.sql": accounts}});
    kubectl.run_with_input(&["apply", "--server-side", "--filename", "-"], Some(&secret.to_string()))?;
    kubectl.run(&["delete", "pod", "old-mysql", "--ignore-not-found", "--wait"])?;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "old-mysql"},
        "spec": {"selector": {"app": "old-mysql"}, "ports": [{"port": 3306}]}});
    kubectl.apply(&service.to_string())?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "old-mysql", "labels": {"app": "old-mysql"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999},
            "containers": [{
                "name": "mysql",
                "image": "holdfast.test/mysql:5.7",
                "ports": [{"containerPort": 3306}],
                "readinessProbe": {"tcpSocket": {"port": 3306}, "periodSeconds": 1},
                "volumeMounts": [{"name": "data", "mountPath": "/var/lib/mysql"}, {"name": "accounts", "mountPath": "/accounts"}]
            }],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "accounts", "secret": {"secretName": "old-mysql"}}]
        }
    });
    kubectl.apply(&pod.to_string())?;
    kubectl.run(&["wait", "--for=condition=Ready", "pod/old-mysql", "--timeout=90s"])?;
    Ok(())
}

/// A Service that leads to no pod.
fn put_service(kubectl: &Kubectl, name: &str, selected: &str) -> Outcome<()> {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app.kubernetes.io/name": selected}, "ports": [{"port": 3306}]}});
    kubectl.apply(&service.to_string())?;
    Ok(())
}

#[test]
fn a_database_that_cannot_be_reached_is_waited_for() -> Outcome<()> {
    let case = Rollout::without_changes("late-server");
    let kubectl = &case.migration.kubectl;
    put_service(kubectl, "late-server", "nothing")?;
    let mut manifest = case.manifest();
    manifest["spec"]["mode"] = json!("Plan");
    manifest["spec"]["database"]["host"] = json!("late-server");
    // The server's certificate does not bear this Service's name.
    manifest["spec"]["database"]["tls"]["mode"] = json!("VerifyCA");
    case.apply(&manifest)?;
    let waiting = case.wait_for_message("Ready", "late-server")?;
    case.expect_condition(&waiting, "Ready", "Unknown", "DatabaseUnreachable");
    put_service(kubectl, "late-server", "mysql")?;
    let end = case.wait_for("Succeeded", SOON)?;
    case.expect_condition(&end, "Finished", "True", "PlanOnly");
    assert!(message(&end, "Planned").contains("identity is not verified"), "{}", message(&end, "Planned"));
    case.expect_unchanged()
}

#[test]
fn a_database_that_stays_unreachable_ends_it() -> Outcome<()> {
    let case = Rollout::without_changes("no-server");
    let kubectl = &case.migration.kubectl;
    put_service(kubectl, "no-server", "nothing")?;
    let mut manifest = case.manifest();
    manifest["spec"]["database"]["host"] = json!("no-server");
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    let host = format!("no-server.{NAMESPACE}.svc:3306");
    let texts = [host.as_str(), "database.host", "its endpoints", "holdfast.dev/retry-at"];
    case.expect_failed(&end, "PreflightPassed", "DatabaseUnreachable", &texts)?;
    case.expect_event("DatabaseUnreachable", &host)?;
    assert_eq!(status_of(&end, "Planned"), Some("Unknown"));
    Ok(())
}
