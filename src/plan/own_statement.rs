//! Reads one statement of the user's own: which table it changes and how, as far as its words tell. What could break a promise, or
//! hide from this look, is refused by name with the way out. The server has the last word: it gets each statement by the protocol
//! that takes only one, and after it the catalogue is read again.

use super::identifier::{Identifier, TableName};
use super::model::LockClass;
use super::own_statement_refusals::{clause_refusal, refusal};
use super::sql_look::Look;
use super::sql_text::{Kind, Statement};

/// The SQL mode under which such statements run: strings, names and comments are read as here, and a value that does not fit is an
/// error.
pub(crate) const OWN_SQL_MODE: &str = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

/// Most rows that an UPDATE may take at a time: it locks them until it ends.
const MOST_ROWS: u64 = 10_000;

/// A statement that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnStatement {
    pub(crate) text: String,
    /// Where it stands, for messages.
    pub(crate) place: String,
    pub(crate) table: TableName,
    /// Other tables that it reads; a name among them may be none (a common table expression).
    pub(crate) reads: Vec<TableName>,
    pub(crate) does: Does,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Does {
    /// Changes the table's definition.
    Change { lock: LockClass, clauses: Vec<Clause> },
    /// Changes values.
    Update {
        /// Columns that get a value.
        sets: Vec<Identifier>,
        /// Columns that are set to themselves, which keeps ON UPDATE CURRENT_TIMESTAMP from them.
        keeps: Vec<Identifier>,
    },
}

/// One change of a definition, as far as later steps of the plan have to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clause {
    AddColumn(ColumnClause),
    ModifyColumn(ColumnClause),
    DropColumn(Identifier),
    AddIndex { name: Identifier, unique: bool, columns: Option<Vec<Identifier>> },
    DropIndex(Identifier),
    Other,
}

/// A column as a clause defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnClause {
    pub(crate) name: Identifier,
    pub(crate) column_type: String,
    pub(crate) nullable: bool,
    pub(crate) generated: bool,
}

/// Reads a statement of `up` or `down`; names without a schema are in `schema`.
///
/// # Errors
/// What is wrong with it, with line and column, for people.
pub(crate) fn read(statement: &Statement, schema: &Identifier) -> Result<OwnStatement, String> {
    let look = Look::new(&statement.text, schema).map_err(|reason| format!("{}: {reason}", statement.place))?;
    look.statement(statement).map_err(|reason| format!("{}: {reason}", statement.place))
}

/// Checks a statement of `verify`, which may only read.
///
/// # Errors
/// What is wrong with it, with line and column, for people.
pub(crate) fn check_query(statement: &Statement, schema: &Identifier) -> Result<(), String> {
    let look = Look::new(&statement.text, schema).map_err(|reason| format!("{}: {reason}", statement.place))?;
    let wrong = |reason: &str| Err(format!("{}: {reason}", statement.place));
    if !look.is(0, "SELECT") && !look.is(0, "WITH") {
        return wrong("it must be a SELECT that returns no rows when the change is good");
    }
    let has = |words: &[&str]| (0..look.tokens.len()).any(|at| look.are(at, words));
    if has(&["INTO"]) {
        return wrong("it may not write (INTO): leave that out");
    }
    if has(&["FOR", "UPDATE"]) || has(&["FOR", "SHARE"]) || has(&["LOCK", "IN"]) {
        return wrong("it may not lock rows (FOR UPDATE, FOR SHARE): leave that out");
    }
    Ok(())
}

impl Look<'_> {
    fn statement(&self, statement: &Statement) -> Result<OwnStatement, String> {
        let word = |at: usize| self.tokens.get(at).map(|token| token.text.to_uppercase()).unwrap_or_default();
        let indexes = |at: usize| {
            self.is(at, "INDEX")
                || (self.is(at + 1, "INDEX") && ["UNIQUE", "FULLTEXT", "SPATIAL"].iter().any(|kind| self.is(at, kind)))
        };
        let (table, does) = if self.are(0, &["ALTER", "TABLE"]) {
            self.alter()?
        } else if self.is(0, "CREATE") && indexes(1) {
            self.create_index()?
        } else if self.are(0, &["DROP", "INDEX"]) {
            self.drop_index()?
        } else if self.is(0, "UPDATE") {
            self.update()?
        } else {
            return Err(refusal(&word(0), &word(1)));
        };
        Ok(OwnStatement {
            text: statement.text.clone(),
            place: statement.place.to_string(),
            reads: self.reads(&table),
            table,
            does,
        })
    }

    fn alter(&self) -> Result<(TableName, Does), String> {
        let (table, next) = self.own_table(2)?;
        let (mut clauses, mut algorithm, mut lock) = (Vec::new(), Vec::new(), Vec::new());
        for (from, to) in self.parts(next, self.tokens.len()) {
            match self.tokens.get(from).map(|token| token.text.to_uppercase()).as_deref() {
                Some("ALGORITHM") => algorithm.push(from),
                Some("LOCK") => lock.push(from),
                _ => clauses.push(self.clause(from, to)?),
            }
        }
        self.change(table, clauses, &algorithm, &lock)
    }

    fn create_index(&self) -> Result<(TableName, Does), String> {
        let unique = self.is(1, "UNIQUE");
        let at = if self.is(1, "INDEX") { 2 } else { 3 };
        let name = self.identifier(at, "the index")?;
        let on = self.outside(at, self.tokens.len(), "ON").first().copied().ok_or("ON and the table are missing")?;
        let (table, next) = self.own_table(on + 1)?;
        let end = self.tokens.len();
        let clause = Clause::AddIndex { name, unique, columns: self.index_columns(next, end) };
        self.change(table, vec![clause], &self.outside(next, end, "ALGORITHM"), &self.outside(next, end, "LOCK"))
    }

    fn drop_index(&self) -> Result<(TableName, Does), String> {
        let name = self.identifier(2, "the index")?;
        if !self.is(3, "ON") {
            return Err("ON and the table are missing".to_owned());
        }
        let (table, next) = self.own_table(4)?;
        let end = self.tokens.len();
        let clause = vec![Clause::DropIndex(name)];
        self.change(table, clause, &self.outside(next, end, "ALGORITHM"), &self.outside(next, end, "LOCK"))
    }

    /// A change with its ALGORITHM and LOCK, which must be stated: what the server would choose is a copy, or waits for one.
    fn change(
        &self,
        table: TableName,
        clauses: Vec<Clause>,
        algorithm: &[usize],
        lock: &[usize],
    ) -> Result<(TableName, Does), String> {
        let value = |option: &str, places: &[usize]| -> Result<Option<String>, String> {
            let [at] = places else {
                return if places.is_empty() { Ok(None) } else { Err(format!("{option} is stated twice: keep one")) };
            };
            let at = if self.symbol(at + 1, '=') { at + 2 } else { at + 1 };
            Ok(self.tokens.get(at).map(|token| token.text.to_uppercase()))
        };
        let (algorithm, lock) = (value("ALGORITHM", algorithm)?, value("LOCK", lock)?);
        let class = match (algorithm.as_deref(), lock.as_deref()) {
            (Some("INSTANT"), None | Some("DEFAULT")) => LockClass::Metadata,
            (Some("INPLACE"), Some("NONE")) => LockClass::OnlineBuild,
            // Readers may go on or not, writers wait for the whole of it.
            (Some("INPLACE" | "COPY"), Some("SHARED" | "EXCLUSIVE")) => LockClass::Copy,
            (Some("INSTANT"), Some(_)) => return Err("INSTANT takes no LOCK clause: leave LOCK out".to_owned()),
            _ => {
                return Err(
                    "ALGORITHM and LOCK must be stated, since the server would choose a copy of the table where it finds no better way: write \
                     ALGORITHM=INSTANT, or ALGORITHM=INPLACE, LOCK=NONE, or ALGORITHM=COPY, LOCK=SHARED, which waits for the gate before Copy"
                        .to_owned(),
                );
            }
        };
        Ok((table, Does::Change { lock: class, clauses }))
    }

    fn clause(&self, from: usize, to: usize) -> Result<Clause, String> {
        let word = |at: usize| match self.tokens.get(at) {
            Some(token) if at < to && token.kind == Kind::Word => token.text.to_uppercase(),
            _ => String::new(),
        };
        if let Some(reason) = clause_refusal(&word(from), &word(from + 1)) {
            return Err(reason);
        }
        if (from..to).any(|at| self.is(at, "REFERENCES")) {
            return Err("a foreign key is refused here: name it in spec.stages, where it is proven".to_owned());
        }
        if (from..to).any(|at| self.is(at, "PRIMARY")) {
            return Err(
                "a primary key is refused, since rows are kept and put back by it: change it before the migration"
                    .to_owned(),
            );
        }
        let second = word(from + 1);
        Ok(match (word(from).as_str(), second.as_str()) {
            ("ADD", "INDEX" | "KEY" | "FULLTEXT" | "SPATIAL" | "UNIQUE") => {
                let mut at = from + 1;
                while ["UNIQUE", "FULLTEXT", "SPATIAL", "INDEX", "KEY"].iter().any(|kind| self.is(at, kind)) {
                    at += 1;
                }
                if self.symbol(at, '(') {
                    return Err("the index needs a name, by which down can drop it".to_owned());
                }
                let name = self.identifier(at, "the index")?;
                Clause::AddIndex { name, unique: second == "UNIQUE", columns: self.index_columns(at + 1, to) }
            }
            ("ADD", "CONSTRAINT" | "CHECK") => Clause::Other,
            ("ADD", _) if self.symbol(from + 1, '(') || (second == "COLUMN" && self.symbol(from + 2, '(')) => {
                return Err("columns in parentheses are refused: write ADD COLUMN for each".to_owned());
            }
            ("ADD", _) => Clause::AddColumn(self.column(if second == "COLUMN" { from + 2 } else { from + 1 }, to)?),
            ("MODIFY", _) => {
                Clause::ModifyColumn(self.column(if second == "COLUMN" { from + 2 } else { from + 1 }, to)?)
            }
            ("DROP", "INDEX" | "KEY") => Clause::DropIndex(self.identifier(from + 2, "the index")?),
            ("DROP", "CHECK") => Clause::Other,
            ("DROP", "COLUMN") => Clause::DropColumn(self.identifier(from + 2, "the column")?),
            ("DROP", _) => Clause::DropColumn(self.identifier(from + 1, "the column")?),
            _ => Clause::Other,
        })
    }

    fn column(&self, at: usize, to: usize) -> Result<ColumnClause, String> {
        let name = self.identifier(at, "the column")?;
        let start = at + 1;
        if start >= to {
            return Err(format!("the type of column {name} is missing"));
        }
        let mut end = start + 1;
        if self.is(end, "PRECISION") {
            end += 1;
        }
        if self.symbol(end, '(') {
            while end < to && !self.symbol(end, ')') {
                end += 1;
            }
            end += 1;
        }
        while end < to {
            end += match self.tokens.get(end).map(|token| token.text.to_uppercase()).as_deref() {
                Some("UNSIGNED" | "SIGNED" | "ZEROFILL") => 1,
                Some("CHARACTER") => 3,
                Some("CHARSET" | "COLLATE") => 2,
                _ => break,
            };
        }
        let span = |at: usize| self.tokens.get(at).copied();
        let column_type = match (span(start), span(end.min(to) - 1)) {
            (Some(first), Some(last)) => self.text.get(first.start..last.end()).unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        let nulls = self.outside(start, to, "NOT").into_iter().any(|at| self.is(at + 1, "NULL"));
        let generated = !self.outside(start, to, "AS").is_empty();
        Ok(ColumnClause { name, column_type, nullable: !nulls, generated })
    }

    /// The columns of an index; `None` where a part is an expression or a prefix.
    fn index_columns(&self, from: usize, to: usize) -> Option<Vec<Identifier>> {
        let open = (from..to).find(|at| self.symbol(*at, '('))?;
        let mut depth = 0_usize;
        let close = (open..to).find(|at| {
            depth = if self.symbol(*at, '(') { depth + 1 } else { depth - usize::from(self.symbol(*at, ')')) };
            depth == 0
        })?;
        let part = |(from, to): (usize, usize)| (to == from + 1).then(|| self.identifier(from, "the column").ok())?;
        self.parts(open + 1, close).into_iter().map(part).collect()
    }

    fn update(&self) -> Result<(TableName, Does), String> {
        let form = "write UPDATE table SET column = value, ... WHERE what is not done yet LIMIT 1000";
        let end = self.tokens.len();
        if self.is(1, "IGNORE") {
            return Err(
                "UPDATE IGNORE is refused, since it turns errors into other values: leave IGNORE out".to_owned()
            );
        }
        let (table, next) = self.own_table(1)?;
        let alias = if self.is(next, "AS") { next + 1 } else { next };
        let set = if self.is(next, "SET") { next } else { alias + 1 };
        let place = |word: &str| self.outside(set, end, word).last().copied();
        let first_where = self.outside(set, end, "WHERE").first().copied();
        let (true, Some(condition), Some(limit)) = (self.is(set, "SET"), first_where, place("LIMIT")) else {
            return Err(format!(
                "an UPDATE is run again and again until it finds no row, so that each time locks few rows and an interruption does no harm: {form}"
            ));
        };
        let rows = self.tokens.get(limit + 1).and_then(|token| token.text.parse::<u64>().ok());
        if limit + 2 != end || limit < condition || !rows.is_some_and(|rows| (1..=MOST_ROWS).contains(&rows)) {
            return Err(format!("LIMIT with a number from 1 to {MOST_ROWS} must end an UPDATE: {form}"));
        }
        let (mut sets, mut keeps) = (Vec::new(), Vec::new());
        for (from, to) in self.parts(set + 1, condition) {
            let equals =
                (from..to).find(|at| self.symbol(*at, '=')).ok_or_else(|| format!("SET is not understood: {form}"))?;
            let column = self.identifier(equals - 1, "the column")?;
            let itself = self
                .identifier(to - 1, "the column")
                .is_ok_and(|other| other.as_str().to_lowercase() == column.as_str().to_lowercase());
            let alone = to == equals + 2 || (to == equals + 4 && self.symbol(equals + 2, '.'));
            if itself && alone { keeps.push(column) } else { sets.push(column) }
        }
        if sets.is_empty() {
            return Err(format!("it changes nothing: {form}"));
        }
        Ok((table, Does::Update { sets, keeps }))
    }

    /// The other tables that stand after FROM and JOIN.
    fn reads(&self, own: &TableName) -> Vec<TableName> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let begins = self.is(at, "FROM") || self.is(at, "JOIN") || self.is(at, "STRAIGHT_JOIN");
            at += 1;
            while begins && let Ok((table, next)) = self.table(at) {
                if table != *own && !found.contains(&table) {
                    found.push(table);
                }
                // FROM a AS x, b y
                let alias = next + usize::from(self.is(next, "AS"));
                let comma = [next, alias + 1].into_iter().find(|place| self.symbol(*place, ','));
                at = comma.unwrap_or(next);
                if comma.is_none() {
                    break;
                }
                at += 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::plan::sql_text::{Token, split, tokens};

    const WORDS: [&str; 48] = [
        "ALTER",
        "TABLE",
        "t",
        "`t`",
        "ADD",
        "COLUMN",
        "INDEX",
        "c",
        "`a``b`",
        "INT",
        "VARCHAR",
        "(",
        ")",
        "10",
        ",",
        "ALGORITHM",
        "=",
        "INSTANT",
        "INPLACE",
        "COPY",
        "LOCK",
        "NONE",
        "SHARED",
        "CREATE",
        "UNIQUE",
        "ON",
        "DROP",
        "UPDATE",
        "SET",
        "WHERE",
        "IS",
        "NULL",
        "NOT",
        "LIMIT",
        "100",
        "FROM",
        "JOIN",
        ".",
        "'x;y'",
        "MODIFY",
        "CHARACTER",
        "COLLATE",
        "AS",
        "KEY",
        "DEFAULT",
        "SELECT",
        "/*!",
        "*/",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn any_words_in_any_order_are_read_or_refused(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..24)) {
            let schema = Identifier::new("shop").unwrap();
            for statement in split(&words.join(" ")).unwrap_or_default() {
                let Ok(found) = read(&statement, &schema) else { continue };
                let names: Vec<_> = tokens(&found.text).unwrap().iter().filter_map(Token::name).collect();
                prop_assert!(["ALTER", "CREATE", "DROP", "UPDATE"].contains(&names[0].as_str()), "{}", found.text);
                prop_assert!(names.iter().any(|name| name == found.table.table.as_str()), "{} changes {}", found.text, found.table);
            }
        }
    }
}
