//! The operator, installed from its charts as a user does.

use super::Outcome;
use super::kubectl::run;

/// Where the operator runs.
pub const NAMESPACE: &str = "holdfast-system";

/// Installs or upgrades both charts and waits until the operator is ready.
///
/// # Errors
/// What helm says.
pub fn install(image: &str, values: &[&str]) -> Outcome<()> {
    let (repository, tag) = image.rsplit_once(':').ok_or_else(|| format!("image {image:?} has no tag"))?;
    run(
        "helm",
        &[
            "upgrade",
            "--install",
            "holdfast-crds",
            "charts/holdfast-crds",
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--wait",
        ],
        None,
    )?;
    let settings = [format!("image.repository={repository}"), format!("image.tag={tag}")];
    let mut arguments = vec![
        "upgrade",
        "--install",
        "holdfast",
        "charts/holdfast",
        "--namespace",
        NAMESPACE,
        "--wait",
        "--timeout",
        "120s",
    ];
    for setting in settings.iter().map(String::as_str).chain(values.iter().copied()) {
        // As text: a tag like 1 is not a number.
        arguments.extend_from_slice(&["--set-string", setting]);
    }
    run("helm", &arguments, None)?;
    Ok(())
}

/// Whether an operator is there already, in whatever namespace.
pub fn is_installed() -> Outcome<bool> {
    let selector = ["--all-namespaces", "--selector", "app.kubernetes.io/name=holdfast", "--output", "name"];
    let found = run("kubectl", &[&["get", "deployments"], &selector[..]].concat(), None)?;
    Ok(!found.trim().is_empty())
}

/// Removes what [`install`] made, the definitions of the resources too. Where migrations are left anywhere, nothing is removed.
pub fn uninstall() -> Outcome<()> {
    let left = run("kubectl", &["get", "schemamigrations", "--all-namespaces", "--output", "name"], None)?;
    if !left.trim().is_empty() {
        return Err(format!("the operator stays, because there are migrations of others: {}", left.trim()));
    }
    run("helm", &["uninstall", "holdfast", "--namespace", NAMESPACE, "--wait", "--ignore-not-found"], None)?;
    run("helm", &["uninstall", "holdfast-crds", "--namespace", NAMESPACE, "--wait", "--ignore-not-found"], None)?;
    run(
        "kubectl",
        &["delete", "crd", "schemamigrations.holdfast.dev", "migrationapprovals.holdfast.dev", "--ignore-not-found"],
        None,
    )?;
    run("kubectl", &["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=120s"], None)?;
    Ok(())
}

/// The newest lines of the operator's log.
pub fn log(lines: u32) -> Outcome<String> {
    run(
        "kubectl",
        &[
            "--namespace",
            NAMESPACE,
            "logs",
            "--selector",
            "app.kubernetes.io/name=holdfast",
            "--tail",
            &lines.to_string(),
        ],
        None,
    )
}
