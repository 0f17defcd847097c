//! Backups that cannot be made: nothing is changed without one. And one that takes its time: how far it is stands in the status.

use std::time::Duration;

use serde_json::json;

use super::harness::Outcome;
use super::harness::kubectl::run;
use super::harness::migration::summary;
use super::harness::wait;
use super::rollout::{END, Rollout, SOON, message};
use super::session::Session;
use super::surroundings::surroundings;

/// A dump tells how far it is not more often.
const TELLING: Duration = Duration::from_secs(11);
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
    let job = &mut manifest["spec"]["backup"]["job"];
    job["destination"]["persistentVolumeClaim"]["claimName"] = json!(volume);
    // Compressed, it would fit.
    job["compression"] = json!("None");
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

/// The program of a dump tells how far it is when ten seconds have passed and more comes: so it is held up twice.
#[test]
fn how_far_a_dump_is_stands_in_the_status_while_it_runs() -> Outcome<()> {
    let case = Rollout::on_own_schema("dump-progress")?;
    let kubectl = &case.migration.kubectl;
    // The node does not have it yet: the pod waits until the tables, which were counted, are locked.
    let resource = format!("holdfast.test/locked-{:08x}", fastrand::u32(..));
    let limits = json!({&resource: "1"});
    let mut manifest = case.manifest();
    manifest["spec"]["backup"]["job"]["resources"] = json!({"requests": limits, "limits": limits});
    manifest["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    case.apply(&manifest)?;
    wait::until("the pod of the backup", SOON, || {
        let pods = kubectl.run(&["get", "pods", "--output", "name"])?;
        Ok(if pods.contains("pod/dump-progress-backup-") { Ok(()) } else { Err(pods) })
    })?;
    let first = Session::holding(&case, "LOCK TABLES bookmarks WRITE")?;
    let second = Session::holding(&case, "LOCK TABLES users WRITE")?;
    offer(&resource)?;
    let sessions = "SELECT USER, STATE, INFO FROM information_schema.PROCESSLIST WHERE DB = DATABASE()";
    wait::until("the dump to be held up", SOON, || {
        let found = case.database.sql(sessions)?;
        let held = found.lines().any(|line| line.contains("metadata lock") && line.contains("FROM `bookmarks`"));
        Ok(if held { Ok(()) } else { Err(format!("{found}; {}", summary(&case.migration.read()?))) })
    })?;
    std::thread::sleep(TELLING);
    drop(first);
    let running = case.wait_for_field("backup.progress", SOON)?;
    let progress = &running["status"]["backup"]["progress"];
    let count = |name: &str| progress[name].as_i64().unwrap_or(-1);
    assert_eq!((count("tablesInAll"), count("rowsInAll")), (6, 5835), "{progress}");
    assert!((3..=6).contains(&count("tables")), "users is still locked: {progress}");
    assert!((535..=4835).contains(&count("rows")), "{progress}");
    assert!(count("bytes") > 10_000 && count("bytesPerSecond") > 0, "{progress}");
    assert!(count("secondsLeft") > 0, "{progress}");
    drop(second);
    let waiting = case.wait_for_reason("Approved", "ApprovalPending", SOON)?;
    case.expect_condition(&waiting, "BackedUp", "True", "Succeeded");
    let backup = &waiting["status"]["backup"];
    assert_eq!((&backup["progress"], &backup["rows"]), (&json!(null), &json!(5835)), "{backup}");
    Ok(())
}

/// Gives the node one of a resource.
pub(crate) fn offer(resource: &str) -> Outcome<()> {
    let node = run("kubectl", &["get", "nodes", "--output", "jsonpath={.items[0].metadata.name}"], None)?;
    let path = resource.replace('/', "~1");
    let patch = json!([
        {"op": "add", "path": format!("/status/capacity/{path}"), "value": "1"},
        {"op": "add", "path": format!("/status/allocatable/{path}"), "value": "1"}
    ]);
    let patch = patch.to_string();
    run("kubectl", &["patch", "node", &node, "--subresource=status", "--type=json", "--patch", &patch], None)?;
    Ok(())
}
