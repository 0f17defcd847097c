//! Backups that are proven by restoring them, and what is found there: each before anything is changed.

use serde_json::{Value, json};

use super::backup::offer;
use super::harness::Outcome;
use super::rollout::{END, Rollout, SOON, message};

pub(crate) const IMAGE: &str = "holdfast.test/mysql:9.7";

/// What a dump holds beside the library's tables: each kind of object, names and values that are easily spoilt, and tables whose rows come in
/// another order than they were made in.
const OBJECTS: &str = r#"
CREATE USER IF NOT EXISTS 'reports'@'%' ACCOUNT LOCK;
CREATE TABLE measures (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, share FLOAT, length INT AS (LENGTH(picture)) STORED, place POINT, document JSON,
  picture BLOB, hidden INT INVISIBLE DEFAULT 3, day DATE, moment TIMESTAMP(6) NULL, bits BIT(5), kind ENUM('a', 'b''c', ''), KEY by_kind (kind));
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
INSERT INTO measures (id, share, place, document, picture, day, moment, bits, kind) VALUES
  (0, 1234567.8, ST_GeomFromText('POINT(1 2)'), '{"b": [1, "ü", null], "a": 1.50}', x'00ff27225c0a0d1a', '0000-00-00', '2026-03-01 10:00:00.123456', b'10101', 'b''c'),
  (5, 0.1, NULL, NULL, '); INSERT INTO `measures` VALUES (1', '2026-00-10', NULL, NULL, '');
SET SESSION sql_mode = DEFAULT;
UPDATE measures SET id = 500 WHERE id = 5;
CREATE TABLE `links``of` (one INT NOT NULL, two INT NOT NULL, PRIMARY KEY (one, two), KEY `by;two` (two, one));
INSERT INTO `links``of` VALUES (1, 9), (2, 8), (3, 7);
CREATE TABLE heap (note VARCHAR(50) CHARACTER SET latin1);
INSERT INTO heap VALUES ('twice'), ('twice'), ('ä\'"\\'), (NULL);
CREATE TABLE log (line VARCHAR(100));
CREATE TRIGGER log_measures AFTER INSERT ON measures FOR EACH ROW INSERT INTO log VALUES (CONCAT('it''s ; ', NEW.id));
CREATE VIEW numbers AS SELECT id, 'a;b' AS text FROM measures;
CREATE DEFINER = 'reports'@'%' VIEW of_reports AS SELECT one FROM `links``of`;
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2;
CREATE EVENT yearly ON SCHEDULE EVERY 1 YEAR STARTS '2099-01-01 00:00:00' DO DELETE FROM log;
DELIMITER //
CREATE PROCEDURE tidy() BEGIN
  -- don't stop; here
  DELETE FROM log WHERE line = ';;';
END//
DELIMITER ;
"#;

/// The library's migration with a backup that is restored, and a gate before the first change.
pub(crate) fn restoring(case: &Rollout, scratch: Value) -> Value {
    let mut manifest = case.manifest();
    manifest["spec"]["backup"]["verification"] = json!("Restore");
    manifest["spec"]["backup"]["scratch"] = scratch;
    manifest["spec"]["gates"] = json!([{"before": {"phase": "CleanUp"}, "approval": "Required"}]);
    manifest
}

fn pods_of_jobs(case: &Rollout) -> Outcome<String> {
    case.migration.kubectl.run(&[
        "get",
        "pods",
        "--selector",
        "batch.kubernetes.io/job-name",
        "--output",
        "jsonpath={range .items[*]}{.metadata.name} {.status.phase}{\"\\n\"}{end}",
    ])
}

#[test]
fn a_backup_of_every_kind_of_object_is_restored_and_compared() -> Outcome<()> {
    let case = Rollout::on_own_schema("restored")?;
    case.database.sql(OBJECTS)?;
    case.database.sql("GRANT SELECT ON case_restored.* TO 'reports'@'%'")?;
    let resources = json!({"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "768Mi"}});
    case.apply(&restoring(&case, json!({"image": IMAGE, "storage": "1Gi", "resources": resources})))?;
    let waiting = case.wait_for_reason("Approved", "ApprovalPending", END)?;
    case.expect_condition(&waiting, "BackedUp", "True", "Succeeded");
    let told = message(&waiting, "BackedUp");
    for text in ["agree with the database", "restored into MySQL 9.7", "FLOAT", "measures.share"] {
        assert!(told.contains(text), "the message does not say {text:?}: {told}");
    }
    let backup = &waiting["status"]["backup"];
    assert_eq!(backup["verified"], "Restore", "{backup}");
    let restore = &backup["restore"];
    assert_eq!((&restore["tables"], &restore["rows"]), (&backup["tables"], &backup["rows"]), "{backup}");
    assert_eq!(restore["objects"], 6, "a trigger, two views, a function, a procedure and an event: {backup}");
    assert!(restore["bytes"].as_i64().is_some_and(|bytes| bytes > 1_000_000), "{backup}");
    // Nothing of it goes on.
    let pods = pods_of_jobs(&case)?;
    let own: Vec<&str> = pods.lines().filter(|line| line.starts_with("restored-")).collect();
    assert!(own.len() == 2 && own.iter().all(|line| line.ends_with(" Succeeded")), "{pods}");
    Ok(())
}

#[test]
fn a_dump_whose_byte_was_flipped_is_named_and_nothing_is_changed() -> Outcome<()> {
    let case = Rollout::without_changes("flipped-byte");
    // The node does not have it yet: the pod that restores waits until the byte is flipped.
    let resource = format!("holdfast.test/flipped-{:08x}", fastrand::u32(..));
    let limits = json!({&resource: "1"});
    case.apply(&restoring(&case, json!({"image": IMAGE, "resources": {"requests": limits, "limits": limits}})))?;
    let waiting = case.wait_for_message("BackedUp", "-verify-")?;
    let location = waiting["status"]["backup"]["location"].as_str().unwrap_or_default().to_owned();
    let file = location.rsplit('/').next().unwrap_or_default();
    flip(&case, file)?;

    offer(&resource)?;
    let end = case.wait_for("Finished", END)?;
    let texts =
        [file, "was changed after it was written", "SHA-256", "spec.backup.scratch.image", "holdfast.dev/retry-at"];
    case.expect_failed(&end, "BackedUp", "BackupUnverified", &texts)
}

/// Flips one bit in the middle of a dump.
fn flip(case: &Rollout, file: &str) -> Outcome<()> {
    let kubectl = &case.migration.kubectl;
    let script = "at=$(( $(stat -c %s \"$0\") / 2 )); byte=$(dd if=\"$0\" bs=1 skip=$at count=1 2>/dev/null | od -An -tu1); \
                  printf \"\\\\$(printf %o $(( byte ^ 1 )))\" | dd of=\"$0\" bs=1 seek=$at count=1 conv=notrunc";
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "flip"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
            "containers": [{
                "name": "flip",
                "image": IMAGE,
                "command": ["sh", "-ec", script, format!("/backup/{file}")],
                "volumeMounts": [{"name": "backup", "mountPath": "/backup"}]
            }],
            "volumes": [{"name": "backup", "persistentVolumeClaim": {"claimName": "backups"}}]
        }
    });
    kubectl.run(&["delete", "pod", "flip", "--ignore-not-found", "--wait"])?;
    kubectl.apply(&pod.to_string())?;
    let limit = format!("--timeout={}s", SOON.as_secs());
    kubectl.run(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/flip", &limit])?;
    Ok(())
}

#[test]
fn a_scratch_image_that_does_not_exist_is_named_and_nothing_is_changed() -> Outcome<()> {
    let case = Rollout::without_changes("no-scratch");
    // Nothing listens there, so that no name is asked for outside of this machine.
    let image = "localhost:1/mysql:missing";
    case.apply(&restoring(&case, json!({"image": image})))?;
    let end = case.wait_for("Finished", END)?;
    let texts = [image, "spec.backup.scratch.image", "cannot be pulled", "correct the name"];
    case.expect_failed(&end, "BackedUp", "BackupUnverified", &texts)?;
    // Nothing goes on pulling.
    let jobs = case.migration.kubectl.run(&["get", "jobs", "--output", "name"])?;
    assert!(!jobs.contains("no-scratch-verify"), "{jobs}: {}", message(&end, "Finished"));
    Ok(())
}

#[test]
fn a_scratch_volume_that_is_too_small_is_named_and_nothing_is_changed() -> Outcome<()> {
    let case = Rollout::without_changes("small-scratch");
    case.apply(&restoring(&case, json!({"image": IMAGE, "storage": "48Mi"})))?;
    let end = case.wait_for("Finished", END)?;
    let texts = ["spec.backup.scratch.storage is \"48Mi\"", "the scratch volume is too small", "allow more"];
    case.expect_failed(&end, "BackedUp", "BackupUnverified", &texts)
}
