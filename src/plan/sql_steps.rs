//! Type fixes of the user's own statements: each statement an operation of its own, with the statement of `down` that takes it back.
//! `down` is read as it runs: its first statement takes the last change of `up` back, and so on.

use super::build::{Planner, same};
use super::catalogue::{Column, Table};
use super::column_type::{ColumnType, Family, character_set_of};
use super::estimate;
use super::identifier::Identifier;
use super::input::SqlFix;
use super::model::{Action, Estimate, LockClass, NO_LIMIT, Operation, Section, SqlKind, SqlStep};
use super::own_statement::{Clause, ColumnClause, Does, OwnStatement};

impl Planner<'_> {
    /// Plans one such fix.
    pub(crate) fn plan_sql(&mut self, fix: &SqlFix) {
        let (up_path, down_path) = (format!("{}.sql.up", fix.path), format!("{}.sql.down", fix.path));
        let before = self.problems.len();
        let changes =
            |statements: &[OwnStatement]| statements.iter().filter(|each| each.definition().is_some()).count();
        let (wanted, given) = (changes(&fix.up), changes(&fix.down));
        if fix.up.is_empty() {
            self.problem(&up_path, "there is no statement: write at least one");
        }
        if let Some(update) = fix.down.iter().find(|statement| statement.definition().is_none()) {
            let place = &update.place;
            self.problem(
                &down_path,
                format!("{place}: an UPDATE is refused, since dropping the columns takes back what filled them: leave it out"),
            );
        }
        if wanted != given {
            self.problem(
                &down_path,
                format!(
                    "{given} statements take back {wanted} changes of up: write one for each ALTER TABLE, CREATE INDEX and DROP INDEX of up, \
                     the last one of up first (an UPDATE needs none)"
                ),
            );
        }
        if let Some(only) = &fix.table
            && let Some(other) = fix.up.iter().chain(&fix.down).find(|statement| statement.table != *only)
        {
            let (place, table) = (&other.place, &other.table);
            self.problem(
                format!("{}.table", fix.path),
                format!("it names {only}, and a statement ({place}) changes {table}: leave table out"),
            );
        }
        if self.problems.len() > before {
            return;
        }
        let mut inverses: Vec<&OwnStatement> = fix.down.iter().collect();
        let first = self.operations.len();
        for statement in &fix.up {
            let Some(table) = self.alterable_table(&up_path, &statement.table) else { continue };
            match &statement.does {
                Does::Update { sets, keeps } => self.plan_own_update(fix, &up_path, statement, &table, (sets, keeps)),
                Does::Change { .. } => {
                    let Some(inverse) = inverses.pop() else { continue };
                    self.plan_own_change(fix, statement, inverse, &table);
                }
            }
        }
        if let Some(last) = self.operations.get_mut(first..).and_then(|added| added.last_mut())
            && let Action::Sql(step) = &mut last.action
        {
            step.verify = Some(fix.verify.clone());
        }
        let mut tables: Vec<String> = fix.up.iter().map(|statement| statement.table.to_string()).collect();
        tables.sort();
        tables.dedup();
        self.warn(format!(
            "{} ({}) runs {} statements of your own on {}: their tables, ALGORITHM and LOCK are known, but not what they mean; read them, and verify.",
            fix.path,
            fix.name,
            fix.up.len(),
            tables.join(", ")
        ));
    }

    fn plan_own_change(&mut self, fix: &SqlFix, statement: &OwnStatement, inverse: &OwnStatement, table: &Table) {
        let (up_path, down_path) = (format!("{}.sql.up", fix.path), format!("{}.sql.down", fix.path));
        let (Some((lock, clauses)), Some((inverse_lock, back))) = (statement.definition(), inverse.definition()) else {
            return;
        };
        let (place, inverse_place) = (&statement.place, &inverse.place);
        if inverse.table != statement.table {
            self.problem(
                &down_path,
                format!(
                    "{inverse_place}: it changes {}, but takes back the change of {} at {place} of up: the first statement of down takes the last \
                     change of up back, and so on",
                    inverse.table, statement.table
                ),
            );
            return;
        }
        let copies = lock == LockClass::Copy;
        for clause in clauses {
            match clause {
                Clause::DropColumn(column) => self.problem(
                    &up_path,
                    format!("{place}: dropping {}.{column} is refused, since its values would be gone for good: drop it once the migration is complete and nobody misses it", table.name),
                ),
                Clause::ModifyColumn(_) if copies => self.problem(
                    &up_path,
                    format!("{place}: a change of values by a copy is refused, since they could be rounded or cut: use modifyColumn, which knows what can get lost"),
                ),
                Clause::AddColumn(column) if table.column(&column.name).is_some() => self.problem(
                    &up_path,
                    format!("{place}: {}.{} exists already: remove the statement, or name another column", table.name, column.name),
                ),
                _ => {}
            }
        }
        let added: Vec<&Identifier> = clauses.iter().filter_map(Clause::added_column).collect();
        let dropped: Vec<&Identifier> = back.iter().filter_map(Clause::dropped_column).collect();
        let missing = added.iter().find(|column| !dropped.iter().any(|other| same(column, other)));
        let foreign = dropped.iter().find(|column| !added.iter().any(|other| same(column, other)));
        if let Some(column) = missing {
            let table = &table.name;
            self.problem(
                &down_path,
                format!("{inverse_place}: it must drop {table}.{column}, which {place} of up adds"),
            );
        }
        if let Some(column) = foreign {
            let table = &table.name;
            self.problem(
                &down_path,
                format!("{inverse_place}: it drops {table}.{column}, which {place} of up does not add: values that were there before would be gone"),
            );
        }
        if back.iter().any(|clause| matches!(clause, Clause::AddColumn(_))) {
            self.problem(
                &down_path,
                format!("{inverse_place}: it adds a column, but nothing that up may do takes one away"),
            );
        }
        if inverse_lock == LockClass::Copy && !copies && !self.input.offline_inverse.contains(&table.name) {
            self.problem(
                &down_path,
                format!(
                    "{inverse_place}: it makes writers of {} wait, and the change that it takes back does not: write it without a copy, or acknowledge \
                     it with {{hazard: OfflineInverse, table: {}}} in spec.acknowledge",
                    table.name, table.name.table
                ),
            );
        }
        if lock == LockClass::Metadata && !self.has_instant_headroom(&up_path, table, 1) {
            return;
        }
        let estimate = match lock {
            LockClass::Metadata | LockClass::Batched => estimate::metadata(),
            LockClass::OnlineBuild => estimate::index(table),
            LockClass::Copy => estimate::copy(table),
        };
        // What a generated column holds follows from the others.
        let generated = |column: &Identifier| {
            clauses.iter().any(
                |clause| matches!(clause, Clause::AddColumn(added) if added.generated && same(&added.name, column)),
            )
        };
        let dropped = dropped.into_iter().filter(|column| !generated(column)).cloned().collect();
        let kind = SqlKind::Change { inverse_lock, dropped };
        self.push_own(fix, statement, (kind, Some(inverse.text.clone())), (lock, estimate));
        for clause in clauses {
            self.show(table, clause);
        }
    }

    fn plan_own_update(
        &mut self,
        fix: &SqlFix,
        path: &str,
        statement: &OwnStatement,
        table: &Table,
        (sets, keeps): (&[Identifier], &[Identifier]),
    ) {
        let place = &statement.place;
        self.can_change_rows(path, table, "an UPDATE changes");
        for column in sets {
            let before = self.before.table(&table.name);
            if self.column(path, table, column).is_some() && before.is_none_or(|before| before.column(column).is_some())
            {
                self.problem(
                    path,
                    format!(
                        "{place}: {}.{column} was there before, and its values would be overwritten for good: only columns that this migration adds can \
                         be filled",
                        table.name
                    ),
                );
            }
        }
        let moved = table.columns.iter().find(|column| {
            column.extra.to_lowercase().contains("on update")
                && !keeps.iter().chain(sets).any(|kept| same(kept, &column.name))
        });
        if let Some(column) = moved {
            let name = &column.name;
            self.problem(
                path,
                format!(
                    "{place}: ON UPDATE CURRENT_TIMESTAMP would overwrite {}.{name}: add {} = {} to SET",
                    table.name,
                    name.quoted(),
                    name.quoted()
                ),
            );
        }
        self.push_own(fix, statement, (SqlKind::Update, None), (LockClass::Batched, estimate::batches(table)));
    }

    fn push_own(
        &mut self,
        fix: &SqlFix,
        statement: &OwnStatement,
        (kind, inverse): (SqlKind, Option<String>),
        (lock, estimate): (LockClass, Estimate),
    ) {
        let number = self
            .operations
            .iter()
            .filter(|other| matches!(&other.action, Action::Sql(step) if step.step == fix.name))
            .count()
            + 1;
        let reads = statement.reads.iter().filter(|table| self.before.table(table).is_some()).cloned().collect();
        let (step, table) = (fix.name.clone(), statement.table.clone());
        self.operations.push(Operation {
            id: format!("sql-{}-{number}", fix.name),
            section: Section::FixTypes,
            action: Action::Sql(SqlStep { step, table, reads, kind, verify: None }),
            forward: Some(statement.text.clone()),
            inverse,
            lock,
            estimate,
            inverse_cost: None,
            path: format!("{}.sql.up", fix.path),
        });
    }

    /// Changes the picture of the catalogue as the clause will.
    fn show(&mut self, table: &Table, clause: &Clause) {
        let collation = table.collation.clone();
        if let Clause::AddIndex { name, unique, columns: Some(columns) } = clause {
            self.add_index(&table.name, name, columns, *unique);
            return;
        }
        let widths = self.now.server.shows_display_widths();
        let Some(table) = self.now.tables.get_mut(&table.name.to_string()) else { return };
        match clause {
            Clause::AddColumn(column) => table.columns.push(shown(column, collation, widths)),
            Clause::ModifyColumn(column) => {
                let line = format!("  {} ", column.name.quoted());
                // Its definition is not known any more: a later fix of the same column finds none.
                let rest = table.create_statement.lines().filter(|each| !each.starts_with(&line));
                table.create_statement = rest.collect::<Vec<_>>().join("\n");
                if let Some(place) = table.columns.iter_mut().find(|each| same(&each.name, &column.name)) {
                    *place = Column { name: place.name.clone(), ..shown(column, place.collation.clone(), widths) };
                }
            }
            Clause::DropIndex(name) => table.indexes.retain(|index| !same(&index.name, name)),
            Clause::DropColumn(_) | Clause::AddIndex { .. } | Clause::Other => {}
        }
    }

    /// Plans the last pass of everything that fills columns, after the application's schema is up to date.
    pub(crate) fn plan_filling_again(&mut self) {
        let fills = |operation: &&Operation| match &operation.action {
            Action::Backfill { .. } => true,
            Action::Sql(step) => step.kind == SqlKind::Update,
            _ => false,
        };
        let mut again: Vec<Operation> = self.operations.iter().filter(fills).cloned().collect();
        for operation in &mut again {
            operation.section = Section::FillAgain;
            operation.id = format!("again-{}", operation.id);
            match &mut operation.action {
                // Asked again by the proof.
                Action::Sql(step) => step.verify = None,
                Action::Backfill { max_unmapped, .. } => *max_unmapped = NO_LIMIT,
                _ => {}
            }
        }
        self.operations.extend(again);
    }
}

/// A column as a clause defines it; a type that is not understood stays as it is written.
fn shown(clause: &ColumnClause, collation: Option<String>, widths: bool) -> Column {
    let parsed = ColumnType::parse(&clause.column_type).ok();
    let textual = parsed.as_ref().is_some_and(|parsed| matches!(parsed.family(), Family::Text | Family::Members));
    let collation = parsed.as_ref().and_then(|parsed| parsed.collation.clone()).or(collation).filter(|_| textual);
    Column {
        name: clause.name.clone(),
        column_type: parsed.as_ref().map_or_else(|| clause.column_type.to_lowercase(), |parsed| parsed.spelled(widths)),
        data_type: parsed.as_ref().map_or_else(|| clause.column_type.to_lowercase(), |parsed| parsed.base.clone()),
        nullable: clause.nullable,
        default: None,
        extra: String::new(),
        character_set: collation.as_deref().map(|collation| character_set_of(collation).to_owned()),
        collation,
        generation_expression: clause.generated.then(|| "of your own statement".to_owned()),
        comment: String::new(),
        character_maximum_length: None,
        character_octet_length: None,
    }
}

impl OwnStatement {
    /// Lock class and clauses, where it changes the definition.
    fn definition(&self) -> Option<(LockClass, &[Clause])> {
        match &self.does {
            Does::Change { lock, clauses } => Some((*lock, clauses)),
            Does::Update { .. } => None,
        }
    }
}

impl Clause {
    fn added_column(&self) -> Option<&Identifier> {
        match self {
            Self::AddColumn(column) => Some(&column.name),
            _ => None,
        }
    }

    fn dropped_column(&self) -> Option<&Identifier> {
        match self {
            Self::DropColumn(column) => Some(column),
            _ => None,
        }
    }
}
