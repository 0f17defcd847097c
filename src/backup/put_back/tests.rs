//! Tables that are restored by programs that stand in for MySQL's, and what keeps them from it.

#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::backup::dump;

const TABLES: &str = "CREATE TABLE `users` (\n  `id` int\n);\nINSERT INTO `users` VALUES (7),(8);\n";
const EVENT: &str = "DELIMITER ;;\nCREATE EVENT `e` ON SCHEDULE EVERY 1 DAY DO DELETE FROM `users` ;;\nDELIMITER ;\n";
const END: &str = "-- Dump completed on today\n";

struct World {
    folder: PathBuf,
    arguments: Arguments,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A backup of `tables`, and a client that keeps what it is handed, in a schema with so many tables; what is dumped then is `found`.
fn world(name: &str, tables: &str, there: u32, found: &str) -> World {
    let folder = std::env::temp_dir().join(format!("holdfast-put-back-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    for each in ["credentials", "private", "backup"] {
        fs::create_dir_all(folder.join(each)).unwrap();
    }
    fs::write(folder.join("credentials/username"), "migrator").unwrap();
    fs::write(folder.join("credentials/password"), "correct horse").unwrap();
    fs::write(folder.join("source.sql"), format!("-- Server version\t9.7.4\n{tables}{EVENT}{END}")).unwrap();
    fs::write(folder.join("found.sql"), format!("{found}{END}")).unwrap();
    program(&folder.join("dump"), &format!("cat '{}'", folder.join("source.sql").display()));
    program(&folder.join("mysqldump"), &format!("cat '{}'", folder.join("found.sql").display()));
    program(
        &folder.join("mysql"),
        &format!(
            "echo \"$@\" >>\"$0.arguments\"; case \"$*\" in *binary-mode*) cat >\"$0.handed\";; *) input=$(cat)\n\
             case \"$input\" in *VERSION*) echo 9.7.5;; *TABLES*) echo {there};; esac;; esac"
        ),
    );
    let server = login::Arguments {
        host: "mysql".to_owned(),
        port: 3306,
        credentials: folder.join("credentials"),
        ssl_mode: "REQUIRED".to_owned(),
        certificate_authority: None,
        private: folder.join("private"),
    };
    dump::run(&dump::Arguments {
        server: server.clone(),
        database: "shop".to_owned(),
        destination: storage::Arguments::folder(folder.join("backup")),
        read_back: false,
        name: "u-1".to_owned(),
        migration: "u".to_owned(),
        termination_message: folder.join("message"),
        program: folder.join("dump"),
    })
    .unwrap();
    let Outcome::Made(summary) = outcome(&folder) else { panic!("no backup") };
    let arguments = Arguments {
        server,
        backup: storage::Arguments::folder(folder.join("backup")),
        name: "u-1".to_owned(),
        manifest: summary.manifest,
        migration: "u".to_owned(),
        schema: "holdfast_restored_1".to_owned(),
        termination_message: folder.join("message"),
        mysql: folder.join("mysql"),
        mysqldump: folder.join("mysqldump"),
    };
    World { folder, arguments }
}

fn outcome(folder: &Path) -> Outcome {
    serde_json::from_slice(&fs::read(folder.join("message")).unwrap()).unwrap()
}

#[test]
fn the_tables_alone_are_handed_to_the_client_in_the_schema_and_compared() {
    let world = world("good", TABLES, 0, TABLES);
    run(&world.arguments).unwrap();
    let Outcome::Restored(restored) = outcome(&world.folder) else { panic!("{:?}", outcome(&world.folder)) };
    assert_eq!((restored.tables, restored.rows, restored.server_version.as_str()), (1, 2, "9.7.5"));
    let handed = fs::read_to_string(world.folder.join("mysql.handed")).unwrap();
    assert!(handed.contains("foreign_key_checks = 0") && handed.ends_with("VALUES (7),(8);\n"), "{handed}");
    assert!(!handed.contains("EVENT"), "an event would run: {handed}");
    let arguments = fs::read_to_string(world.folder.join("mysql.arguments")).unwrap();
    assert!(arguments.lines().all(|line| line.ends_with("-- holdfast_restored_1")), "{arguments}");
    assert!(!arguments.contains("correct horse"), "{arguments}");
    assert!(fs::read_dir(world.folder.join("private")).unwrap().next().is_none(), "the password is gone");
}

fn refused(world: &World) -> String {
    let message = run(&world.arguments).unwrap_err();
    assert!(matches!(outcome(&world.folder), Outcome::Failed(_)));
    message
}

#[test]
fn what_came_out_otherwise_is_no_backup() {
    let other = world("other", TABLES, 0, &TABLES.replace("(8)", "(9)"));
    assert!(refused(&other).contains("users"));
    let less = world("less", TABLES, 0, "CREATE TABLE `others` (\n  `id` int\n);\n");
    assert!(refused(&less).contains("the table users is missing"));
}

#[test]
fn nothing_is_restored_over_what_is_there() {
    let world = world("there", TABLES, 3, TABLES);
    assert!(refused(&world).contains("holdfast_restored_1 is not empty (3 tables)"));
    assert!(!world.folder.join("mysql.handed").exists());
}

#[test]
fn float_columns_would_come_back_rounded() {
    let tables = "CREATE TABLE `users` (\n  `weight` float DEFAULT NULL\n);\n";
    let world = world("float", tables, 0, tables);
    let message = refused(&world);
    assert!(message.contains("users.weight") && !world.folder.join("mysql.handed").exists(), "{message}");
}

#[test]
fn a_dump_that_was_changed_is_not_restored() {
    let world = world("changed", TABLES, 0, TABLES);
    let dump = world.folder.join("backup/u-1.sql");
    let text = fs::read_to_string(&dump).unwrap().replace("(8)", "(9)");
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&dump, text).unwrap();
    assert!(refused(&world).contains("was changed after it was written"));
    assert!(!world.folder.join("mysql.handed").exists());
}

#[test]
fn a_client_that_stops_says_why() {
    let world = world("stops", TABLES, 0, TABLES);
    let script = "case \"$*\" in *binary-mode*) cat >/dev/null; echo 'ERROR 1114 (HY000): The table is full' >&2; exit 1;; esac\n\
                  case \"$(cat)\" in *VERSION*) echo 9.7.5;; *) echo 0;; esac";
    program(&world.folder.join("mysql"), script);
    assert!(refused(&world).contains("The table is full"));
}
