//! Backups that cannot be made: nothing is changed without one.

use serde_json::json;

use super::harness::Outcome;
use super::harness::kubectl::run;
use super::rollout::{END, Rollout, SOON, message};
use super::surroundings::surroundings;

/// Less than the dump of the library's tables.
const SMALL: &str = "64Ki";

#[test]
fn a_full_backup_volume_is_named_and_nothing_is_changed() -> Outcome<()> {
    let case = Rollout::without_changes("full-volume");
    // A name of its own each time: the volume lasts as long as the cluster.
    let volume = format!("full-{:08x}", fastrand::u32(..));
    run("tests/cluster/cluster.sh", &["volume", &volume, SMALL], None)?;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": volume},
        "spec": {"storageClassName": "holdfast-small", "volumeName": volume, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": SMALL}}}
    });
    surroundings().shop.kubectl.apply(&claim.to_string())?;
    let mut manifest = case.manifest();
    manifest["spec"]["backup"]["job"]["destination"]["persistentVolumeClaim"]["claimName"] = json!(volume);
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    case.expect_failed(&end, "BackedUp", "BackupFailed", &["the backup volume is full", &volume, "more space"])?;

    // The way out: another volume.
    let mut roomy = case.manifest();
    roomy["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    case.apply(&roomy)?;
    let waiting = case.wait_for_reason("Approved", "ApprovalPending", SOON)?;
    case.expect_condition(&waiting, "BackedUp", "True", "Succeeded");
    case.expect_unchanged()
}

#[test]
fn a_backup_image_that_does_not_exist_is_named_and_nothing_is_changed() -> Outcome<()> {
    let case = Rollout::without_changes("no-image");
    let mut manifest = case.manifest();
    // Nothing listens there, so that no name is asked for outside of this machine.
    let image = "localhost:1/mysql:missing";
    manifest["spec"]["backup"]["job"]["image"] = json!(image);
    case.apply(&manifest)?;
    let end = case.wait_for("Finished", END)?;
    case.expect_failed(
        &end,
        "BackedUp",
        "BackupFailed",
        &[image, "spec.backup.job.image", "cannot be pulled", "correct the name"],
    )?;
    // Nothing goes on pulling.
    let jobs = case.migration.kubectl.run(&["get", "jobs", "--output", "name"])?;
    assert!(!jobs.contains("no-image"), "{jobs}: {}", message(&end, "Finished"));
    Ok(())
}
