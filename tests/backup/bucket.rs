//! Backups in a bucket: made, proven, spoilt, interrupted and removed.

use std::fs;

use holdfast::backup::{Outcome, RowCounts};
use sha2::{Digest as _, Sha256};

use crate::job::{BUCKET, DUMP, MIGRATION, PREFIX, Place, wait_for};

/// A script that writes a dump of about so many megabytes: this one row after the other.
fn rows(megabytes: u32) -> String {
    let row = "x".repeat(1000);
    format!(
        "awk 'BEGIN {{ print \"CREATE TABLE `t` (\\n  `id` int\\n);\"; for (i = 0; i < {}; i++) print \"INSERT INTO `t` VALUES (\" i \",\\047{row}\\047);\" }}'",
        megabytes * 1000
    )
}

const TRAILER: &str = "echo '-- Dump completed on today'";

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_dump_in_many_parts_is_whole_and_takes_the_memory_of_two() {
    let place = Place::new("parts");
    let peak = place.path("peak");
    // The shell's parent is the Job's program.
    place.mysqldump(&format!("{}; {TRAILER}; grep VmHWM /proc/$PPID/status >'{peak}'", rows(100)));
    let summary = place.made(1);
    let dump = fs::read(place.dump(1)).unwrap();
    assert_eq!((dump.len() as u64, &summary.rows), (summary.bytes, &RowCounts::Here(vec![100_000])));
    assert_eq!(hexadecimal(&Sha256::digest(&dump)), summary.sha256);
    let (objects, parts) = place.stored();
    let name = |ending| format!("{PREFIX}/{MIGRATION}-1.{ending}");
    assert_eq!((objects, parts), (vec![name("manifest.json"), name("sql")], Vec::new()));
    let peak = fs::read_to_string(peak).unwrap();
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("100 MB were uploaded with {kilobytes} kB of memory at most");
    assert!(kilobytes < 80_000, "{peak}");
}

#[test]
fn a_backup_is_read_back_restored_and_removed() {
    let place = Place::new("good");
    let summary = place.made(1);
    let Outcome::Restored(restored) = place.verify(1, &summary.manifest) else { panic!() };
    assert_eq!((restored.tables, restored.rows), (1, 2));
    assert_eq!(fs::read_to_string(place.path("restored")).unwrap(), DUMP, "the object itself was restored");
    let second = place.made(2);
    assert_ne!(second.manifest, summary.manifest);
    fs::write(place.object("notes.txt"), "of somebody").unwrap();
    let Outcome::Removed(removed) = place.remove(2) else { panic!() };
    assert_eq!((removed.backups, removed.bytes, removed.left), (2, 2 * DUMP.len() as u64, Vec::new()));
    assert_eq!(place.stored().0, [format!("{PREFIX}/notes.txt")]);
    // Once more, as after a Job that was killed at its end.
    let Outcome::Removed(removed) = place.remove(2) else { panic!() };
    assert_eq!(removed.backups, 0);
}

#[test]
fn a_compressed_dump_is_streamed_in_little_memory_restored_from_there_and_removed() {
    let mut place = Place::new("compressed");
    place.compression = "zstd";
    let peak = place.path("peak");
    let server = "echo '-- Server version 9.7.4'";
    place.mysqldump(&format!("{server}; {}; {TRAILER}; grep VmHWM /proc/$PPID/status >'{peak}'", rows(100)));
    let summary = place.made(1);
    let stored = fs::read(place.dump(1)).unwrap();
    assert_eq!((stored.len() as u64, &summary.rows), (summary.bytes, &RowCounts::Here(vec![100_000])));
    assert_eq!(hexadecimal(&Sha256::digest(&stored)), summary.sha256);
    let dump = zstd::decode_all(stored.as_slice()).unwrap();
    assert!(dump.len() > 100_000_000 && stored.len() < dump.len() / 10, "{} of {}", stored.len(), dump.len());
    let Outcome::Restored(restored) = place.verify(1, &summary.manifest) else { panic!() };
    assert_eq!((restored.tables, restored.rows), (1, 100_000));
    assert!(fs::read(place.path("restored")).unwrap() == dump, "what was written is restored");
    let peak = fs::read_to_string(peak).unwrap();
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("100 MB were compressed and uploaded with {kilobytes} kB of memory at most");
    assert!(kilobytes < 80_000, "{peak}");
    let Outcome::Removed(removed) = place.remove(1) else { panic!() };
    assert_eq!((removed.backups, removed.bytes, removed.left), (1, stored.len() as u64, Vec::new()));
    assert_eq!(place.stored(), (Vec::new(), Vec::new()));
}

#[test]
fn what_another_migration_made_is_not_removed() {
    let place = Place::new("others");
    place.made(1);
    let name = place.object(&format!("{MIGRATION}-1.manifest.json"));
    let text = fs::read_to_string(&name).unwrap();
    fs::write(&name, text.replace(&format!("\"{MIGRATION}\""), "\"another\"")).unwrap();
    let Outcome::Removed(removed) = place.remove(1) else { panic!() };
    assert_eq!(removed.backups, 0);
    assert!(
        removed.left[0].contains("s3://dumps/shop/production/") && removed.left[0].contains("another"),
        "{removed:?}"
    );
    assert_eq!(place.stored().0.len(), 2);
}

#[test]
fn a_flipped_byte_a_truncated_and_a_missing_object_are_found_before_anything_is_restored() {
    let place = Place::new("flipped");
    let summary = place.made(1);
    let location = format!("s3://{BUCKET}/{PREFIX}/{MIGRATION}-1.sql");
    fs::write(place.dump(1), DUMP.replace("(8)", "(9)")).unwrap();
    let texts = [location.as_str(), "was changed after it was written", &summary.sha256];
    place.fails(place.verify(1, &summary.manifest), &texts);
    let half = &DUMP[..DUMP.len() / 2];
    fs::write(place.dump(1), half).unwrap();
    let texts =
        [&location, "was changed after it was written", &format!("it has {} bytes", half.len()), &summary.sha256];
    place.fails(place.verify(1, &summary.manifest), &texts);
    assert!(fs::metadata(place.path("restored")).is_err(), "nothing was restored");
    fs::remove_file(place.dump(1)).unwrap();
    place.fails(place.verify(1, &summary.manifest), &[&location, "is not there"]);
}

#[test]
fn a_server_that_goes_away_midway_fails_the_backup_and_the_next_one_clears_up() {
    let mut place = Place::new("away");
    let gone = place.path("gone");
    place.mysqldump(&format!("{}; until [ -e '{gone}' ]; do sleep 0.05; done; {}; {TRAILER}", rows(36), rows(36)));
    let mut command = place.backup(1);
    let running = command.spawn().unwrap();
    wait_for("two parts", || place.stored().1.iter().filter(|part| !part.ends_with(".json")).count() >= 2);
    place.server.kill();
    fs::write(&gone, "").unwrap();
    let outcome = place.ended(&running.wait_with_output().unwrap());
    let endpoint = place.server.endpoint();
    let texts =
        ["writing s3://dumps/shop/production/", "which stopped after", &endpoint, "tried for 2 s", "NetworkPolicies"];
    let told = place.fails(outcome, &texts);
    // The end of so long a message is in the Job's log only.
    assert!(told.contains("aborting the upload of"), "what is left is told: {told}");
    assert_eq!(place.stored().0, Vec::<String>::new(), "nothing counts as a backup");
    place.server.run();
    assert_ne!(place.stored().1, Vec::<String>::new(), "the parts are still there");
    place.mysqldump(&format!("cat '{}'", place.path("dump.sql")));
    place.made(2);
    let (objects, parts) = place.stored();
    assert_eq!((objects.len(), parts), (2, Vec::new()));
}

#[test]
fn a_job_that_is_deleted_midway_leaves_no_part() {
    let place = Place::new("deleted");
    place.mysqldump(&format!("{}; while kill -0 $PPID; do sleep 0.05; done", rows(36)));
    let running = place.backup(1).spawn().unwrap();
    wait_for("two parts", || place.stored().1.iter().filter(|part| !part.ends_with(".json")).count() >= 2);
    let ended = std::process::Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap();
    assert!(ended.success());
    place.fails(place.ended(&running.wait_with_output().unwrap()), &["by SIGTERM"]);
    assert_eq!(place.stored(), (Vec::new(), Vec::new()));
}

#[test]
fn a_dump_that_fails_midway_leaves_no_part() {
    let place = Place::new("failing");
    place.mysqldump(&format!("{}; echo 'mysqldump: Error 2013: Lost connection' >&2; exit 2", rows(36)));
    place.fails(place.run(place.backup(1)), &["exit status: 2", "Lost connection"]);
    assert_eq!(place.stored(), (Vec::new(), Vec::new()));
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let place = Place::new("existing");
    fs::create_dir_all(place.object("")).unwrap();
    fs::write(place.dump(1), "precious").unwrap();
    let started = place.path("started");
    place.mysqldump(&format!("touch '{started}'; cat '{}'", place.path("dump.sql")));
    place.fails(
        place.run(place.backup(1)),
        &["s3://dumps/shop/production/", "exists already", "nothing is overwritten"],
    );
    assert!(fs::metadata(&started).is_err(), "the database has had no work of it");
    // One that comes while the dump is made.
    let dump = place.dump(2).display().to_string();
    place.mysqldump(&format!("printf precious >'{dump}'; cat '{}'", place.path("dump.sql")));
    place.fails(place.run(place.backup(2)), &["exists already"]);
    for attempt in [1, 2] {
        assert_eq!(fs::read_to_string(place.dump(attempt)).unwrap(), "precious");
    }
    assert_eq!(place.stored().1, Vec::<String>::new());
}
