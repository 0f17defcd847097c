//! Dumps that are read in pieces of any size, cut off, and changed.

#![allow(clippy::unwrap_used)]
use super::*;

const DUMP: &str = "-- MySQL dump 10.13  Distrib 9.7.4, for Linux (x86_64)\n--\n-- Host: mysql    Database: shop\n\
    -- Server version\t9.7.3-log\n\
    DROP TABLE IF EXISTS `users`;\n\
    /*!40101 SET @saved_cs_client     = @@character_set_client */;\n\
    CREATE TABLE `users` (\n  `id` int NOT NULL COMMENT 'INSERT INTO `x` VALUES (1);',\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB;\n\
    LOCK TABLES `users` WRITE;\n\
    INSERT INTO `users` VALUES (1,'a),(b;'),(2,'it\\'s'),(3,'it''s \\\\'),(4,0x2829);\n\
    INSERT INTO `users` VALUES (5,'x\\n\nINSERT INTO `users` VALUES (9)');\n\
    CREATE TABLE `em``pty` (\n  `id` int\n);\n\
    CREATE TABLE `generated` (\n  `a` int\n);\n\
    INSERT INTO `generated` (`a(`, `V`) VALUES (1,2),(3,(4));\n\
    /*!50001 CREATE VIEW `v` AS SELECT \n 1 AS `id`*/;\n\
    /*!50003 SET sql_mode              = 'ANSI' */ ;\n\
    DELIMITER ;;\n\
    CREATE PROCEDURE `p`()\nBEGIN\n-- don't\nINSERT INTO `users` VALUES (7);\n-- Dump completed\nEND ;;\n\
    /*!50003 SET sql_mode              = @saved_sql_mode */ ;;\n\
    DELIMITER ;\n\
    /*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`a`@`%` SQL SECURITY DEFINER */\n\
    /*!50001 VIEW `v` AS select 'a;b' AS `id` */;\n\
    -- Dump completed on 2026-11-23 10:00:00\n";

fn read(dump: &str, piece: usize) -> Result<Contents, String> {
    let mut reader = Reader::default();
    for piece in dump.as_bytes().chunks(piece) {
        reader.push(piece);
    }
    reader.finish()
}

#[test]
fn tables_rows_and_objects_are_read_and_nothing_else_however_the_dump_is_cut() {
    let whole = read(DUMP, usize::MAX).unwrap();
    let rows: Vec<_> = whole.tables.iter().map(|(name, table)| (name.as_str(), table.rows)).collect();
    assert_eq!(rows, [("em`pty", 0), ("generated", 2), ("users", 5)]);
    assert_eq!(whole.objects.keys().collect::<Vec<_>>(), ["PROCEDURE p", "VIEW v"]);
    assert_eq!(whole.server_version.as_deref(), Some("9.7.3-log"));
    assert_eq!(whole.tool.as_deref(), Some("10.13  Distrib 9.7.4, for Linux (x86_64)"));
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(read(DUMP, piece).unwrap(), whole, "in pieces of {piece}");
    }
}

#[test]
fn only_what_makes_and_fills_tables_is_handed_on_however_the_dump_is_cut() {
    let tables = |piece: usize| {
        let (mut reader, mut handed) = (Reader::default(), Vec::new());
        for piece in DUMP.as_bytes().chunks(piece) {
            reader
                .push_tables(piece, |part| {
                    handed.extend_from_slice(part);
                    Ok(())
                })
                .unwrap();
        }
        reader.finish().unwrap();
        String::from_utf8(handed).unwrap()
    };
    let whole = tables(usize::MAX);
    let statements: Vec<&str> = whole.split_inclusive(";\n").map(|text| text.get(..20).unwrap_or(text)).collect();
    assert_eq!(statements.len(), 6, "a string holds the beginning of one: {whole}");
    assert!(whole.contains("INSERT INTO `users` VALUES (5,'x\\n\nINSERT INTO `users` VALUES (9)');\n"), "{whole}");
    for other in ["DROP", "LOCK", "SET", "PROCEDURE", "VIEW", "(7)", "DELIMITER"] {
        assert!(!whole.contains(other), "{other}: {whole}");
    }
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(tables(piece), whole, "in pieces of {piece}");
    }
    let again = read(&format!("{whole}-- Dump completed\n"), 64).unwrap();
    assert_eq!(again.tables, read(DUMP, 64).unwrap().tables, "they hold what the dump's tables hold");
}

#[test]
fn a_dump_that_was_cut_off_is_never_complete() {
    let end = DUMP.rfind("-- Dump completed").unwrap();
    for length in 0..end {
        if let Some(part) = DUMP.get(..length) {
            assert!(read(part, 64).is_err(), "cut at {length}");
        }
    }
    assert!(read(DUMP.trim_end(), 64).is_ok(), "the last line break does not matter");
}

#[test]
fn something_after_the_trailer_is_noticed() {
    assert!(read(&format!("{DUMP}INSERT INTO `users` VALUES (8);\n"), 64).is_err());
}

#[test]
fn rows_count_whatever_statements_they_stand_in_and_a_changed_byte_is_seen() {
    let dump = |rows: &str| format!("CREATE TABLE `t` (\n  `a` int\n);\n{rows}\n-- Dump completed on today\n");
    let table = |rows: &str| read(&dump(rows), 64).unwrap().tables["t"].clone();
    let one = table("INSERT INTO `t` VALUES (1,'a'),(2,'b');");
    assert_eq!(one, table("INSERT INTO `t` VALUES (2,'b');\nINSERT INTO `t` VALUES (1,'a');"));
    for other in ["(1,'a'),(2,'c')", "(1,'b'),(2,'a')", "(1,'a'),(2,'b'),(2,'b')", "(1,'a')", "(1,'a'),(1,'a')"] {
        assert_ne!(one, table(&format!("INSERT INTO `t` VALUES {other};")), "{other}");
    }
}

#[test]
fn a_body_that_differs_and_another_sql_mode_are_seen() {
    let whole = read(DUMP, 64).unwrap().objects;
    for (from, to) in [("(7)", "(6)"), ("'ANSI'", "''"), ("'a;b'", "'a;c'")] {
        let changed = read(&DUMP.replace(from, to), 64).unwrap().objects;
        assert_eq!(changed.iter().filter(|(name, digest)| whole[*name] != **digest).count(), 1, "{from}");
    }
}
