//! Tables that are restored by programs that stand in for MySQL's, and what keeps them from it.

#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::backup::compression::Compression;
use crate::backup::stand_ins::Folder;

const TABLES: &str = "CREATE TABLE `users` (\n  `id` int\n);\nINSERT INTO `users` VALUES (7),(8);\n";
const EVENT: &str = "DELIMITER ;;\nCREATE EVENT `e` ON SCHEDULE EVERY 1 DAY DO DELETE FROM `users` ;;\nDELIMITER ;\n";
const END: &str = "-- Dump completed on today\n";

struct World {
    folder: Folder,
    arguments: Arguments,
}

fn world(name: &str, tables: &str, there: u32, found: &str) -> World {
    world_of(name, tables, there, found, Compression::None)
}

/// A backup of `tables`, and a client that keeps what it is handed, in a schema with so many tables; what is dumped then is `found`.
fn world_of(name: &str, tables: &str, there: u32, found: &str, compression: Compression) -> World {
    let folder = Folder::new(&format!("put-back-{name}"));
    let client = format!(
        "echo \"$@\" >>\"$0.arguments\"; case \"$*\" in *binary-mode*) cat >\"$0.handed\";; *) input=$(cat)\n\
         case \"$input\" in *VERSION*) echo 9.7.5;; *TABLES*) echo {there};; esac;; esac"
    );
    let arguments = Arguments {
        server: folder.server(),
        backup: folder.backup(&format!("-- Server version\t9.7.4\n{tables}{EVENT}{END}"), compression),
        schema: "holdfast_restored_1".to_owned(),
        termination_message: folder.join("message"),
        mysql: folder.program("mysql", &client),
        mysqldump: folder.printing("mysqldump", &format!("{found}{END}")),
    };
    World { folder, arguments }
}

#[test]
fn the_tables_alone_are_handed_to_the_client_in_the_schema_and_compared() {
    let world = world("good", TABLES, 0, TABLES);
    run(&world.arguments).unwrap();
    let Outcome::Restored(restored) = world.folder.outcome() else { panic!("{:?}", world.folder.outcome()) };
    assert_eq!((restored.tables, restored.rows, restored.server_version.as_str()), (1, 2, "9.7.5"));
    let handed = fs::read_to_string(world.folder.join("mysql.handed")).unwrap();
    assert!(handed.contains("foreign_key_checks = 0") && handed.ends_with("VALUES (7),(8);\n"), "{handed}");
    assert!(!handed.contains("EVENT"), "an event would run: {handed}");
    let arguments = fs::read_to_string(world.folder.join("mysql.arguments")).unwrap();
    assert!(arguments.lines().all(|line| line.ends_with("-- holdfast_restored_1")), "{arguments}");
    assert!(!arguments.contains("correct horse"), "{arguments}");
    assert!(fs::read_dir(world.folder.join("private")).unwrap().next().is_none(), "the password is gone");
}

#[test]
fn a_compressed_dump_is_unpacked_on_its_way() {
    let world = world_of("compressed", TABLES, 0, TABLES, Compression::Zstd);
    assert!(world.folder.join("backup/uid-1.sql.zst").exists());
    run(&world.arguments).unwrap();
    let handed = fs::read_to_string(world.folder.join("mysql.handed")).unwrap();
    assert!(handed.ends_with("VALUES (7),(8);\n"), "{handed}");
}

fn refused(world: &World) -> String {
    let message = run(&world.arguments).unwrap_err();
    assert!(matches!(world.folder.outcome(), Outcome::Failed(_)));
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
    let dump = world.folder.join("backup/uid-1.sql");
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
    world.folder.program("mysql", script);
    assert!(refused(&world).contains("The table is full"));
}
