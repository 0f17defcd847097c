//! Reads a dump while it streams past, so that what it holds can be compared. Works on bytes in pieces of any size; what lies in
//! strings, comments, triggers and routines is never taken for rows.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::contents::{Contents, RowSum, Table, object};
use super::manifest::hexadecimal;

const INSERT: &[u8] = b"INSERT INTO `";
const CREATE: &[u8] = b"CREATE TABLE `";
const CREATE_IF_MISSING: &[u8] = b"CREATE TABLE IF NOT EXISTS `";
/// The view itself. What stands in for it until every table is there begins otherwise.
const VIEW: &[u8] = b"/*!50001 CREATE ALGORITHM";
const DELIMITER: &[u8] = b"DELIMITER ";
/// The end of a statement in a part with bodies.
const BODY_END: &[u8] = b";;";
const SQL_MODE: &[u8] = b"/*!50003 SET sql_mode";
const TOOL: &[u8] = b"-- MySQL dump ";
const SERVER: &[u8] = b"-- Server version";
const TRAILER: &[u8] = b"-- Dump completed";
/// Enough of a line to tell what it is.
const LONGEST_START: usize = CREATE_IF_MISSING.len();
/// Definitions are kept until they are whole; none that a server accepts is as long.
const LONGEST_STATEMENT: usize = 64 * 1024 * 1024;

/// Reads a dump.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    /// The beginning of the current line.
    start: Vec<u8>,
    /// The line or statement that is kept as a whole.
    text: Vec<u8>,
    /// Whether statements end in something other than a semicolon: bodies of triggers, routines and events.
    in_body: bool,
    /// Whether the last line that was not empty is mysqldump's trailer.
    trailer: bool,
    /// The SQL mode that the next body is created in.
    sql_mode: Vec<u8>,
    name: Vec<u8>,
    row: Sha256,
    /// What the current statement inserts.
    inserted: (u64, RowSum),
    sums: BTreeMap<String, RowSum>,
    contents: Contents,
    problem: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line, which may turn out to be a statement of interest.
    #[default]
    LineStart,
    /// In a line that holds nothing of interest.
    Line,
    /// In a line that is kept.
    KeptLine,
    /// In a line of a part with bodies.
    BodyLine,
    /// In the quoted name of a table; `true`: its rows follow, `false`: its definition.
    Name { rows: bool },
    /// After one backtick in a name: its end, or half of a doubled one.
    NameQuote { rows: bool },
    /// In a definition that goes on to its semicolon.
    Definition { view: bool, quoted: Quoted },
    /// In the values of an INSERT.
    Values { begun: bool, depth: u32, quoted: Quoted },
}

/// Where the reader is between quotes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Quoted {
    /// The quote that ends the current string or name.
    quote: Option<u8>,
    escaped: bool,
}

impl Quoted {
    /// Passes what is between quotes; how many bytes that are. None are where no quote is open.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(quote) = self.quote {
            let rest = bytes.get(at..).unwrap_or_default();
            if std::mem::take(&mut self.escaped) {
                if rest.is_empty() {
                    self.escaped = true;
                    return at;
                }
                at += 1;
                continue;
            }
            let Some(place) = rest.iter().position(|byte| *byte == quote || *byte == b'\\') else { return bytes.len() };
            at += place + 1;
            if rest.get(place) == Some(&quote) {
                // A doubled quote closes and opens again at once, which comes to the same.
                self.quote = None;
            } else {
                // In names a backslash is a character as any other.
                self.escaped = quote != b'`';
            }
        }
        at
    }
}

impl Reader {
    /// Reads the next piece.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let read = self.step(rest).max(1);
            rest = rest.get(read..).unwrap_or_default();
        }
    }

    /// Reads the next piece, and hands on what of it makes and fills tables, and nothing else: no view, no routine, no event that would run.
    ///
    /// # Errors
    /// What it is handed to answers.
    pub(super) fn push_tables(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let before = self.is_in_table();
            let read = self.step(rest).clamp(1, rest.len());
            let (piece, left) = rest.split_at(read);
            match (before, self.is_in_table()) {
                (false, false) => {}
                (false, true) => take(&self.start)?,
                (true, true) => take(piece)?,
                (true, false) => {
                    take(piece)?;
                    take(b"\n")?;
                }
            }
            rest = left;
        }
        Ok(())
    }

    /// Whether what comes belongs to a statement that makes or fills a table.
    fn is_in_table(&self) -> bool {
        match self.state {
            State::Name { .. } | State::NameQuote { .. } | State::Values { .. } => true,
            State::Definition { view, .. } => !view,
            State::LineStart | State::Line | State::KeptLine | State::BodyLine => false,
        }
    }

    /// Tables and rows that were read so far.
    pub(super) fn so_far(&self) -> (u64, u64) {
        let tables = &self.contents.tables;
        (tables.len() as u64, tables.values().map(|table| table.rows).sum())
    }

    /// What the dump holds.
    ///
    /// # Errors
    /// When the dump stops in the middle or lacks its trailer: it is not complete.
    pub fn finish(mut self) -> Result<Contents, String> {
        match self.state {
            State::LineStart => self.judge_line(),
            State::BodyLine => self.end_body_line(),
            _ => {}
        }
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        match self.state {
            State::Name { .. } | State::NameQuote { .. } | State::Definition { .. } | State::Values { .. } => {
                Err("the dump ends in the middle of a statement".to_owned())
            }
            _ if !self.trailer => Err("the dump lacks mysqldump's last line (\"-- Dump completed\")".to_owned()),
            _ => {
                for (name, sum) in self.sums {
                    match self.contents.tables.get_mut(&name) {
                        Some(table) => table.content = sum.hexadecimal(),
                        None => return Err(format!("the dump holds rows of the table {name}, but not its definition")),
                    }
                }
                Ok(self.contents)
            }
        }
    }

    /// Reads something from the front; how many bytes that were.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let Some(&first) = bytes.first() else { return 0 };
        match self.state {
            State::LineStart if self.in_body => {
                self.state = State::BodyLine;
                self.keep_line(bytes)
            }
            State::LineStart => {
                self.start_of_line(first);
                1
            }
            State::Line => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.next_line();
                    end + 1
                }
                None => bytes.len(),
            },
            State::KeptLine | State::BodyLine => self.keep_line(bytes),
            State::Name { rows } => {
                let end = bytes.iter().position(|byte| *byte == b'`');
                self.name.extend_from_slice(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
                if end.is_some() {
                    self.state = State::NameQuote { rows };
                }
                end.map_or(bytes.len(), |end| end + 1)
            }
            State::NameQuote { rows } if first == b'`' => {
                self.name.push(first);
                self.state = State::Name { rows };
                1
            }
            State::NameQuote { rows } => {
                self.trailer = false;
                self.state = if rows {
                    State::Values { begun: false, depth: 0, quoted: Quoted::default() }
                } else {
                    State::Definition { view: false, quoted: Quoted::default() }
                };
                self.step(bytes)
            }
            State::Definition { view, quoted } => self.definition(bytes, view, quoted),
            State::Values { begun, depth, quoted } => self.values(bytes, begun, depth, quoted),
        }
    }

    fn start_of_line(&mut self, byte: u8) {
        if byte == b'\n' {
            self.judge_line();
            self.next_line();
            return;
        }
        self.start.push(byte);
        if self.start == INSERT {
            self.state = State::Name { rows: true };
        } else if self.start == CREATE || self.start == CREATE_IF_MISSING {
            self.state = State::Name { rows: false };
        } else if self.start == VIEW {
            self.trailer = false;
            self.text.clone_from(&self.start);
            self.state = State::Definition { view: true, quoted: Quoted::default() };
        } else if [SQL_MODE, TOOL, SERVER].contains(&self.start.as_slice()) {
            self.trailer = false;
            self.text.clone_from(&self.start);
            self.state = State::KeptLine;
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
        self.trailer = self.start.starts_with(TRAILER);
        if let Some(delimiter) = self.start.strip_prefix(DELIMITER) {
            self.in_body = delimiter.trim_ascii() != b";";
        }
    }

    fn next_line(&mut self) {
        self.start.clear();
        self.name.clear();
        self.state = State::LineStart;
    }

    /// Keeps the rest of a line, and looks at it once it is whole.
    fn keep_line(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        self.keep(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
        let Some(end) = end else { return bytes.len() };
        if self.state == State::BodyLine {
            self.end_body_line();
        } else {
            self.end_kept_line();
        }
        self.next_line();
        end + 1
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.text.len() + bytes.len() > LONGEST_STATEMENT {
            self.problem.get_or_insert_with(|| "the dump holds a definition of more than 64 MiB".to_owned());
            return;
        }
        self.text.extend_from_slice(bytes);
    }

    fn end_kept_line(&mut self) {
        let text = std::mem::take(&mut self.text);
        let after = |prefix: &[u8]| {
            text.strip_prefix(prefix).map(|rest| String::from_utf8_lossy(rest.trim_ascii()).into_owned())
        };
        if let Some(version) = after(SERVER) {
            self.contents.server_version = Some(version);
        } else if let Some(tool) = after(TOOL) {
            self.contents.tool = Some(tool);
        } else {
            self.set_sql_mode(&text);
        }
    }

    /// `SET sql_mode = '...'`; what puts the old one back names a variable.
    fn set_sql_mode(&mut self, statement: &[u8]) {
        if statement.contains(&b'\'') {
            self.sql_mode = statement.split(|byte| *byte == b'\'').nth(1).unwrap_or_default().to_vec();
        }
    }

    /// The statements of a part with bodies end where a line ends with its delimiter; a body cannot hold an empty statement.
    fn end_body_line(&mut self) {
        self.trailer = false;
        let line_from = self.text.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let line = self.text.get(line_from..).unwrap_or_default();
        if let Some(delimiter) = line.strip_prefix(DELIMITER) {
            self.in_body = delimiter.trim_ascii() != b";";
            self.text.clear();
        } else if let Some(statement) = self.text.trim_ascii_end().strip_suffix(BODY_END) {
            let statement = statement.trim_ascii().to_vec();
            self.text.clear();
            if statement.starts_with(SQL_MODE) {
                self.set_sql_mode(&statement);
            } else {
                self.end_object(&statement, true);
            }
        } else {
            self.text.push(b'\n');
        }
    }

    /// A body was parsed in its SQL mode and runs in it, a view does not.
    fn end_object(&mut self, statement: &[u8], body: bool) {
        let Some(name) = object(statement) else { return };
        let mut hash = Sha256::new();
        hash.update(if body { self.sql_mode.as_slice() } else { &[] });
        hash.update([0]);
        hash.update(statement);
        self.contents.objects.insert(name, hexadecimal(&hash.finalize()));
    }

    fn definition(&mut self, bytes: &[u8], view: bool, mut quoted: Quoted) -> usize {
        let mut at = quoted.pass(bytes);
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\'' | b'"' | b'`' => quoted.quote = Some(byte),
                b';' => break,
                _ => {}
            }
            at += 1;
            at += quoted.pass(bytes.get(at..).unwrap_or_default());
        }
        self.keep(bytes.get(..at).unwrap_or_default());
        self.state = State::Definition { view, quoted };
        if at >= bytes.len() {
            return bytes.len();
        }
        let text = std::mem::take(&mut self.text);
        if view {
            self.end_object(&text, false);
        } else {
            let name = String::from_utf8_lossy(&self.name).into_owned();
            self.contents.tables.entry(name).or_insert_with(|| Table::empty(&text));
        }
        self.state = State::Line;
        at + 1
    }

    fn values(&mut self, bytes: &[u8], mut begun: bool, mut depth: u32, mut quoted: Quoted) -> usize {
        let mut row_from = 0;
        let mut at = quoted.pass(bytes);
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'\'' | b'"' | b'`' => {
                    quoted.quote = Some(byte);
                    at += quoted.pass(bytes.get(at..).unwrap_or_default());
                }
                b'(' => {
                    if depth == 0 {
                        row_from = at - 1;
                    }
                    depth += 1;
                }
                b')' => {
                    depth = depth.saturating_sub(1);
                    if begun && depth == 0 {
                        self.row.update(bytes.get(row_from..at).unwrap_or_default());
                        self.end_row();
                    }
                }
                // The first letter outside parentheses and quotes is that of VALUES; a list of columns may come before it.
                b'V' if depth == 0 => begun = true,
                b';' if depth == 0 => {
                    self.end_insert();
                    self.state = State::Line;
                    return at;
                }
                _ => {}
            }
        }
        if begun && depth > 0 {
            self.row.update(bytes.get(row_from..).unwrap_or_default());
        }
        self.state = State::Values { begun, depth, quoted };
        bytes.len()
    }

    fn end_row(&mut self) {
        let digest = self.row.finalize_reset();
        self.inserted.0 += 1;
        self.inserted.1.add(&digest);
    }

    fn end_insert(&mut self) {
        let (rows, sum) = std::mem::take(&mut self.inserted);
        let name = String::from_utf8_lossy(&self.name).into_owned();
        if let Some(table) = self.contents.tables.get_mut(&name) {
            table.rows += rows;
        }
        self.sums.entry(name).or_default().join(sum);
    }
}

#[cfg(test)]
mod tests;
