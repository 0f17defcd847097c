//! UPDATE statements: those that fill a column which the files add become steps of the migration, by a look-up in another table or as they
//! stand, in batches.

use sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, Expr, GroupByExpr, JoinConstraint, JoinOperator, Query, Select,
    SelectItem, SetExpr, TableFactor, TableWithJoins, Update,
};

use super::{Reader, last, parts, quoted, same};
use crate::api::type_fixes::{Backfill, FromLookup, MatchColumns, SqlFix};

/// Rows that an UPDATE takes at a time.
const BATCH: u32 = 1_000;

/// A table as a statement names it.
struct Named {
    table: String,
    alias: Option<String>,
}

impl Named {
    /// Whether a qualifier of a column means this table.
    fn is(&self, qualifier: &str) -> bool {
        self.alias.as_deref().map_or_else(|| same(&self.table, qualifier), |alias| same(alias, qualifier))
    }
}

impl Reader {
    pub(super) fn update(&mut self, update: &Update) {
        if update.from.is_some() || update.or.is_some() || update.returning.is_some() {
            self.leave("it is no UPDATE of MySQL: write UPDATE table SET column = ... WHERE ...", true);
            return;
        }
        let TableWithJoins { relation, joins } = &update.table;
        let Some(child) = self.named(relation) else { return };
        let mut columns = Vec::new();
        for assignment in &update.assignments {
            let Some(column) = target(assignment, &child) else {
                self.leave(
                    "it changes a column of another table, or several at once: write an UPDATE for each table",
                    true,
                );
                return;
            };
            columns.push(column);
        }
        if let Some(column) = columns.iter().find(|column| !self.adds(&child.table, column)) {
            let why = format!(
                "{column} of {} is not added by these files, and its values would be overwritten for good: change them by hand, before the migration",
                child.table
            );
            self.leave(&why, true);
            return;
        }
        if joins.is_empty() && update.assignments.iter().all(|each| !has_query(&each.value)) {
            self.in_batches(&child, &columns, update);
            return;
        }
        match look_up(&child, update) {
            Some(backfill) => self.backfill(&child.table, &columns[0], backfill),
            None => self.leave(
                "the look-up is not of the form that a backfill has: UPDATE t JOIN other ON other.a = t.b SET t.added = other.c; write it as \
                 backfill.fromLookup or as a step by SQL",
                true,
            ),
        }
    }

    fn named(&mut self, factor: &TableFactor) -> Option<Named> {
        let TableFactor::Table { name, alias, .. } = factor else {
            self.leave("it updates what is no table: write UPDATE table SET ...", true);
            return None;
        };
        let table = self.own_table(name)?;
        Some(Named { table, alias: alias.as_ref().map(|alias| alias.name.value.clone()) })
    }

    /// A step that is repeated until it finds no row: what is done must no longer be found.
    fn in_batches(&mut self, child: &Named, columns: &[String], update: &Update) {
        let alias = child.alias.as_ref().map(|alias| format!(" AS {}", quoted(alias))).unwrap_or_default();
        let assignments: Vec<String> = update.assignments.iter().map(ToString::to_string).collect();
        let open = columns.iter().map(|column| format!("{} IS NULL", quoted(column))).collect::<Vec<_>>().join(" OR ");
        let condition = match &update.selection {
            Some(condition)
                if columns.len() == 1 && conjuncts(condition).iter().any(|each| is_null(each, &columns[0])) =>
            {
                condition.to_string()
            }
            Some(condition) => format!("({condition}) AND ({open})"),
            None => open,
        };
        let table = quoted(&child.table);
        let up = format!("UPDATE {table}{alias} SET {} WHERE {condition} LIMIT {BATCH}", assignments.join(", "));
        if !self.takes(&[&up]) {
            return;
        }
        let sql = SqlFix {
            up,
            down: "-- Dropping the column takes back what filled it.".to_owned(),
            verify: format!("SELECT 1 FROM {table}{alias} WHERE {condition} LIMIT 1"),
        };
        let note = format!(
            "Repeated for {BATCH} rows at a time until none is found, so it fills what is NULL, and stops where an expression yields NULL again and again."
        );
        let fix = self.sql_fix(&format!("fill-{}-{}", child.table, columns[0]), sql);
        let carried = self.carried(fix, vec![note]);
        self.imported.type_fixes.push(carried);
    }

    fn backfill(&mut self, table: &str, column: &str, backfill: Backfill) {
        let place = self.place.clone();
        let added = self.imported.type_fixes.iter_mut().find(|each| {
            each.value.table.as_deref().is_some_and(|own| same(own, table))
                && each.value.add_column.as_ref().is_some_and(|added| same(&added.name, column) && added.nullable)
                && each.value.backfill.is_none()
        });
        match added {
            Some(added) => {
                added.value.backfill = Some(backfill);
                added.notes.push(format!(
                    "Filled as {place} says. verify.maxUnmapped is 0: rows without a match stop the migration, where the file leaves them NULL."
                ));
            }
            None => self.leave(
                &format!("{column} of {table} has attributes of its own, may not be NULL or is filled already, so it takes no backfill: write a step by SQL"),
                true,
            ),
        }
    }
}

/// The column that an assignment changes.
fn target(assignment: &Assignment, child: &Named) -> Option<String> {
    let AssignmentTarget::ColumnName(name) = &assignment.target else { return None };
    let (qualifier, column) = parts(name)?;
    qualifier.is_none_or(|qualifier| child.is(&qualifier)).then_some(column)
}

/// Whether an expression asks other rows.
fn has_query(value: &Expr) -> bool {
    value.to_string().to_uppercase().contains("SELECT")
}

/// The look-up of one column in one other table.
fn look_up(child: &Named, update: &Update) -> Option<Backfill> {
    let [assignment] = update.assignments.as_slice() else { return None };
    let added = target(assignment, child)?;
    // Only what a backfill does by itself: filling what is NULL.
    let only_open = |condition: Option<&Expr>| {
        condition.is_none_or(|condition| conjuncts(condition).iter().all(|each| is_null(each, &added)))
    };
    if !update.order_by.is_empty() || update.limit.is_some() {
        return None;
    }
    match update.table.joins.as_slice() {
        [join] => {
            let (JoinOperator::Join(on) | JoinOperator::Inner(on)) = &join.join_operator else { return None };
            let JoinConstraint::On(on) = on else { return None };
            let other = factor(&join.relation)?;
            let take = column_of(&assignment.value, &other, false)?;
            only_open(update.selection.as_ref()).then(|| backfill(child, &other, on, take))?
        }
        [] => {
            let Expr::Subquery(query) = &assignment.value else { return None };
            let (other, take, on) = simple_query(query)?;
            only_open(update.selection.as_ref()).then(|| backfill(child, &other, on, take))?
        }
        _ => None,
    }
}

fn backfill(child: &Named, other: &Named, on: &Expr, take: String) -> Option<Backfill> {
    let mut matching = Vec::new();
    for part in conjuncts(on) {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = part else { return None };
        let pair = |own: &Expr, foreign: &Expr| {
            Some(MatchColumns { column: column_of(own, child, true)?, equals: column_of(foreign, other, true)? })
        };
        matching.push(pair(left, right).or_else(|| pair(right, left))?);
    }
    Some(Backfill { from_lookup: FromLookup { table: other.table.clone(), matching, take } })
}

fn factor(factor: &TableFactor) -> Option<Named> {
    let TableFactor::Table { name, alias, .. } = factor else { return None };
    Some(Named { table: last(name)?, alias: alias.as_ref().map(|alias| alias.name.value.clone()) })
}

/// `SELECT take FROM other WHERE ...`, and nothing more.
fn simple_query(query: &Query) -> Option<(Named, String, &Expr)> {
    let plain =
        query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let Select { projection, from, selection: Some(selection), distinct: None, having: None, .. } = select.as_ref()
    else {
        return None;
    };
    let ([SelectItem::UnnamedExpr(item)], [only]) = (projection.as_slice(), from.as_slice()) else { return None };
    let other = factor(&only.relation)?;
    let take = column_of(item, &other, false)?;
    let ungrouped =
        matches!(&select.group_by, GroupByExpr::Expressions(columns, more) if columns.is_empty() && more.is_empty());
    (plain && ungrouped && only.joins.is_empty()).then_some((other, take, selection))
}

/// The column of a table that an expression is; `qualified`: only where it says the table.
fn column_of(expression: &Expr, table: &Named, qualified: bool) -> Option<String> {
    match expression {
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [qualifier, column] if table.is(&qualifier.value) => Some(column.value.clone()),
            _ => None,
        },
        Expr::Identifier(column) if !qualified => Some(column.value.clone()),
        Expr::Nested(inner) => column_of(inner, table, qualified),
        _ => None,
    }
}

/// What AND joins.
fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        Expr::Nested(inner) => conjuncts(inner),
        other => vec![other],
    }
}

fn is_null(condition: &Expr, column: &str) -> bool {
    let Expr::IsNull(inner) = condition else { return false };
    match inner.as_ref() {
        Expr::Identifier(name) => same(&name.value, column),
        Expr::CompoundIdentifier(names) => names.last().is_some_and(|name| same(&name.value, column)),
        _ => false,
    }
}
