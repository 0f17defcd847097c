//! Counts the rows of every table while a dump streams past, so that the dump can be compared with the database. Works on bytes
//! in pieces of any size; what lies in strings, comments, triggers and routines is never taken for rows.

use std::collections::BTreeMap;

const INSERT: &[u8] = b"INSERT INTO `";
const CREATE: &[u8] = b"CREATE TABLE `";
const CREATE_IF_MISSING: &[u8] = b"CREATE TABLE IF NOT EXISTS `";
const DELIMITER: &[u8] = b"DELIMITER ";
const TRAILER: &[u8] = b"-- Dump completed";
/// Enough of a line to tell what it is.
const LONGEST_START: usize = CREATE_IF_MISSING.len();

/// Reads a dump and counts.
#[derive(Debug, Default)]
pub struct RowCounter {
    state: State,
    /// The beginning of the current line.
    start: Vec<u8>,
    /// Whether statements end in something other than a semicolon: bodies of triggers, routines and events.
    in_body: bool,
    /// Whether the last line that was not empty is mysqldump's trailer.
    trailer: bool,
    name: Vec<u8>,
    tables: BTreeMap<String, u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line, which may turn out to be a statement of interest.
    #[default]
    LineStart,
    /// In a line that holds no rows.
    Line,
    /// In the quoted name of a table; `true`: its rows follow, `false`: its definition.
    Name { rows: bool },
    /// After one backtick in a name: its end, or half of a doubled one.
    NameQuote { rows: bool },
    /// In the values of an INSERT.
    Values(Values),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Values {
    /// Whether the word VALUES has been passed: a list of columns may come before it.
    begun: bool,
    depth: u32,
    /// The quote that ends the current string or name.
    quote: Option<u8>,
    escaped: bool,
}

impl RowCounter {
    /// Reads the next piece.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.step(byte);
        }
    }

    /// The rows of each table, tables without rows included.
    ///
    /// # Errors
    /// When the dump stops in the middle or lacks its trailer: it is not complete.
    pub fn finish(mut self) -> Result<BTreeMap<String, u64>, String> {
        if let State::LineStart = self.state {
            self.judge_line();
        }
        match self.state {
            State::Name { .. } | State::NameQuote { .. } | State::Values(_) => {
                Err("the dump ends in the middle of a statement".to_owned())
            }
            State::LineStart | State::Line if !self.trailer => {
                Err("the dump lacks mysqldump's last line (\"-- Dump completed\")".to_owned())
            }
            State::LineStart | State::Line => Ok(self.tables),
        }
    }

    fn step(&mut self, byte: u8) {
        match self.state {
            State::LineStart => self.start_of_line(byte),
            State::Line => {
                if byte == b'\n' {
                    self.next_line();
                }
            }
            State::Name { rows } => {
                if byte == b'`' {
                    self.state = State::NameQuote { rows };
                } else {
                    self.name.push(byte);
                }
            }
            State::NameQuote { rows } => self.after_quote(byte, rows),
            State::Values(values) => self.values(byte, values),
        }
    }

    fn start_of_line(&mut self, byte: u8) {
        if byte == b'\n' {
            self.judge_line();
            self.next_line();
            return;
        }
        self.start.push(byte);
        if !self.in_body && self.start == INSERT {
            self.state = State::Name { rows: true };
        } else if !self.in_body && (self.start == CREATE || self.start == CREATE_IF_MISSING) {
            self.state = State::Name { rows: false };
        } else if self.start.len() >= LONGEST_START {
            self.judge_line();
            self.state = State::Line;
        }
    }

    /// Looks at a line's beginning once it is known.
    fn judge_line(&mut self) {
        if self.start.is_empty() {
            return;
        }
        self.trailer = !self.in_body && self.start.starts_with(TRAILER);
        if let Some(delimiter) = self.start.strip_prefix(DELIMITER) {
            self.in_body = delimiter.trim_ascii() != b";";
        }
    }

    fn next_line(&mut self) {
        self.start.clear();
        self.name.clear();
        self.state = State::LineStart;
    }

    fn after_quote(&mut self, byte: u8, rows: bool) {
        if byte == b'`' {
            self.name.push(byte);
            self.state = State::Name { rows };
            return;
        }
        self.trailer = false;
        let name = String::from_utf8_lossy(&self.name).into_owned();
        self.tables.entry(name).or_insert(0);
        if rows {
            self.state = State::Values(Values::default());
        } else if byte == b'\n' {
            self.next_line();
        } else {
            self.state = State::Line;
        }
    }

    fn values(&mut self, byte: u8, mut values: Values) {
        if let Some(quote) = values.quote {
            if values.escaped {
                values.escaped = false;
            } else if byte == b'\\' && quote != b'`' {
                values.escaped = true;
            } else if byte == quote {
                // A doubled quote closes and opens again at once, which counts the same.
                values.quote = None;
            }
            self.state = State::Values(values);
            return;
        }
        match byte {
            b'\'' | b'"' | b'`' => values.quote = Some(byte),
            b'(' => {
                if values.begun && values.depth == 0 {
                    self.count_row();
                }
                values.depth += 1;
            }
            b')' => values.depth = values.depth.saturating_sub(1),
            // The first letter outside parentheses and quotes is that of VALUES.
            b'V' if values.depth == 0 => values.begun = true,
            b';' if values.depth == 0 => {
                self.state = State::Line;
                return;
            }
            _ => {}
        }
        self.state = State::Values(values);
    }

    fn count_row(&mut self) {
        let name = String::from_utf8_lossy(&self.name);
        match self.tables.get_mut(name.as_ref()) {
            Some(rows) => *rows += 1,
            None => {
                self.tables.insert(name.into_owned(), 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DUMP: &str = "-- MySQL dump 10.13\n\
        DROP TABLE IF EXISTS `users`;\n\
        /*!40101 SET @saved_cs_client     = @@character_set_client */;\n\
        CREATE TABLE `users` (\n  `id` int NOT NULL COMMENT 'INSERT INTO `x` VALUES (1)',\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB;\n\
        LOCK TABLES `users` WRITE;\n\
        INSERT INTO `users` VALUES (1,'a),(b;'),(2,'it\\'s'),(3,'it''s \\\\'),(4,0x2829);\n\
        INSERT INTO `users` VALUES (5,'x\\n\nINSERT INTO `users` VALUES (9)');\n\
        CREATE TABLE `em``pty` (\n  `id` int\n);\n\
        CREATE TABLE `generated` (\n  `a` int\n);\n\
        INSERT INTO `generated` (`a(`, `V`) VALUES (1,2),(3,(4));\n\
        DELIMITER ;;\n\
        CREATE PROCEDURE `p`()\nBEGIN\nINSERT INTO `users` VALUES (7);\n-- Dump completed\nEND ;;\n\
        DELIMITER ;\n\
        -- Dump completed on 2026-11-23 10:00:00\n";

    fn count(dump: &str, piece: usize) -> Result<BTreeMap<String, u64>, String> {
        let mut counter = RowCounter::default();
        for piece in dump.as_bytes().chunks(piece) {
            counter.push(piece);
        }
        counter.finish()
    }

    #[test]
    fn rows_are_counted_and_nothing_else_however_the_dump_is_cut() {
        let expected: BTreeMap<String, u64> =
            [("em`pty".to_owned(), 0), ("generated".to_owned(), 2), ("users".to_owned(), 5)].into();
        for piece in [1, 2, 3, 7, 64, 10_000] {
            assert_eq!(count(DUMP, piece).unwrap(), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_dump_that_was_cut_off_is_never_complete() {
        let end = DUMP.rfind("-- Dump completed").unwrap();
        for length in 0..end {
            if let Some(part) = DUMP.get(..length) {
                assert!(count(part, 64).is_err(), "cut at {length}");
            }
        }
        assert!(count(DUMP.trim_end(), 64).is_ok(), "the last line break does not matter");
    }

    #[test]
    fn something_after_the_trailer_is_noticed() {
        assert!(count(&format!("{DUMP}INSERT INTO `users` VALUES (8);\n"), 64).is_err());
    }
}
