//! Columns to add, fill and change.

use super::build::{Planner, same};
use super::catalogue::{Column, Table, Version};
use super::column_change::{Algorithm, Surroundings, algorithm, definition, loss, with_type};
use super::column_type::{ColumnType, Family, character_set_of};
use super::estimate;
use super::identifier::Identifier;
use super::input::{Backfill, Fix, FixKind, TypeFix};
use super::model::{Action, InverseCost, LockClass, Section};

/// INSTANT ADD COLUMN exists.
const INSTANT_ADD: Version = Version { major: 8, minor: 0, patch: 12 };
/// A table may have 255 row versions instead of 64.
const MORE_ROW_VERSIONS: Version = Version { major: 9, minor: 1, patch: 0 };
/// INSTANT DROP COLUMN exists.
const INSTANT_DROP: Version = Version { major: 8, minor: 0, patch: 29 };

impl Planner<'_> {
    /// Plans all type fixes, in the order of the specification.
    pub(crate) fn plan_fixes(&mut self) {
        for fix in &self.input.fixes {
            let fix = match fix {
                TypeFix::Column(fix) => fix,
                TypeFix::Sql(fix) => {
                    self.plan_sql(fix);
                    continue;
                }
            };
            let Some(table) = self.alterable_table(&format!("{}.table", fix.path), &fix.table) else { continue };
            let type_path = match fix.kind {
                FixKind::Add { .. } => format!("{}.addColumn.type", fix.path),
                FixKind::Modify => format!("{}.modifyColumn.type", fix.path),
            };
            let parsed = match ColumnType::parse(&fix.column_type) {
                Ok(parsed) => parsed,
                Err(reason) => {
                    self.problem(type_path, reason);
                    continue;
                }
            };
            match &fix.kind {
                FixKind::Add { nullable, backfill } => {
                    self.plan_add(fix, &table, &parsed, *nullable, backfill.as_ref())
                }
                FixKind::Modify => self.plan_modify(fix, &table, &parsed, &type_path),
            }
        }
    }

    fn plan_add(&mut self, fix: &Fix, table: &Table, parsed: &ColumnType, nullable: bool, backfill: Option<&Backfill>) {
        let path = format!("{}.addColumn", fix.path);
        let version = self.now.server.version;
        let widths = self.now.server.shows_display_widths();
        if let Some(existing) = table.column(&fix.column) {
            let message = format!(
                "{}.{} exists already ({}): remove this type fix, or name another column",
                table.name, fix.column, existing.column_type
            );
            self.problem(format!("{path}.name"), message);
            return;
        }
        let full_text = table.indexes.iter().any(|index| index.kind == "FULLTEXT");
        if version < INSTANT_ADD || full_text || table.row_format.eq_ignore_ascii_case("Compressed") {
            self.problem(
                &path,
                format!(
                    "{} cannot get a column without being rebuilt ({}): add the column yourself, then remove this type fix",
                    table.name,
                    if version < INSTANT_ADD {
                        "the server is older than 8.0.12"
                    } else if full_text {
                        "it has a full-text index"
                    } else {
                        "its row format is COMPRESSED"
                    }
                ),
            );
            return;
        }
        if !self.has_instant_headroom(&path, table, 1) {
            return;
        }
        if !nullable {
            if backfill.is_some() {
                self.problem(
                    format!("{path}.nullable"),
                    format!(
                        "the backfill fills what is NULL, so {}.{} must be nullable: write nullable: true",
                        table.name, fix.column
                    ),
                );
            } else {
                self.warn(format!(
                    "{}.{} is added as NOT NULL without a default: existing rows get the type's implicit value (0 or the empty string).",
                    table.name, fix.column
                ));
            }
        }
        let collation = if parsed.family() == Family::Text || parsed.family() == Family::Members {
            parsed.collation.clone().or_else(|| table.collation.clone())
        } else {
            None
        };
        let column = Column {
            name: fix.column.clone(),
            column_type: parsed.spelled(widths),
            data_type: parsed.base.clone(),
            nullable,
            default: None,
            extra: String::new(),
            character_set: collation.as_deref().map(|collation| character_set_of(collation).to_owned()),
            collation,
            generation_expression: None,
            comment: String::new(),
            character_maximum_length: None,
            character_octet_length: None,
        };
        let alter = format!("ALTER TABLE {}", table.name.quoted());
        let forward = format!(
            "{alter} ADD COLUMN {} {} {}, {}",
            fix.column.quoted(),
            parsed.sql(widths),
            if nullable { "NULL" } else { "NOT NULL" },
            Algorithm::Instant.clauses()
        );
        // Without INSTANT the way back rebuilds the table, online, and takes its time.
        let (drop, inverse_cost) = if version >= INSTANT_DROP && can_be_hidden(&fix.column) {
            (Algorithm::Instant, None)
        } else {
            let cost = InverseCost { lock: LockClass::OnlineBuild, estimate: estimate::copy(table) };
            (Algorithm::Inplace, Some(cost))
        };
        let inverse = format!("{alter} DROP COLUMN {}, {}", fix.column.quoted(), drop.clauses());
        self.push(
            Section::FixTypes,
            format!("add-column-{}-{}", table.name.table, fix.column),
            Action::AddColumn { table: table.name.clone(), column: fix.column.clone() },
            Some((forward, inverse)),
            LockClass::Metadata,
            estimate::metadata(),
            &fix.path,
        )
        .inverse_cost = inverse_cost;
        if let Some(table) = self.now.tables.get_mut(&table.name.to_string()) {
            table.columns.push(column.clone());
        }
        if let Some(backfill) = backfill {
            self.plan_backfill(fix, table, &column, parsed, backfill);
        }
    }

    /// Whether a table can take so many more INSTANT changes and their way back; else the problem is noted.
    pub(crate) fn has_instant_headroom(&mut self, path: &str, table: &Table, changes: u64) -> bool {
        let added = self.operations.iter().filter(|operation| match &operation.action {
            Action::AddColumn { table: other, .. } => *other == table.name,
            Action::Sql(step) => step.table == table.name && operation.lock == LockClass::Metadata,
            _ => false,
        });
        // Each column takes one version to add and one to drop again.
        let needed = 2 * (u64::try_from(added.count()).unwrap_or(u64::MAX / 4) + changes);
        let limit = if self.now.server.version >= MORE_ROW_VERSIONS { 255 } else { 64 };
        let Some(used) = table.row_versions.filter(|used| used.saturating_add(needed) > limit) else { return true };
        self.problem(
            path,
            format!(
                "{} has {used} of at most {limit} INSTANT changes behind it (TOTAL_ROW_VERSIONS), and {needed} are needed to add columns and to drop \
                 them again: rebuild the table at a quiet hour (ALTER TABLE {} FORCE), which sets the number to 0",
                table.name,
                table.name.quoted()
            ),
        );
        false
    }

    fn plan_backfill(&mut self, fix: &Fix, table: &Table, column: &Column, parsed: &ColumnType, backfill: &Backfill) {
        let path = format!("{}.backfill.fromLookup", fix.path);
        self.can_change_rows(&path, table, "the backfill changes");
        let Some(lookup) = self.usable_table(&format!("{path}.table"), &backfill.lookup) else { return };
        for (place, (own, other)) in backfill.matches.iter().enumerate() {
            let own = self.column(&format!("{path}.match[{place}].column"), table, own);
            let other = self.column(&format!("{path}.match[{place}].equals"), &lookup, other);
            let (Some(own), Some(other)) = (own, other) else { continue };
            let families = (family(&own), family(&other));
            if families.0 != families.1 || own.collation != other.collation {
                self.problem(
                    format!("{path}.match[{place}]"),
                    format!(
                        "{}.{} is {} and {}.{} is {}, which cannot be compared exactly: change one of them with a modifyColumn before this fix",
                        table.name, own.name, described(&own), lookup.name, other.name, described(&other)
                    ),
                );
            }
        }
        if let Some(take) = self.column(&format!("{path}.take"), &lookup, &backfill.take)
            && family(&take) != Some(parsed.family())
        {
            self.problem(
                format!("{path}.take"),
                format!(
                    "{}.{} is {}, which does not fit into {}.{} of type {}: add the column with that type",
                    lookup.name, take.name, take.column_type, table.name, column.name, column.column_type
                ),
            );
        }
        self.push(
            Section::FixTypes,
            format!("backfill-{}-{}", table.name.table, fix.column),
            Action::Backfill {
                table: table.name.clone(),
                column: fix.column.clone(),
                lookup_table: lookup.name.clone(),
                matches: backfill.matches.clone(),
                take: backfill.take.clone(),
                max_unmapped: backfill.max_unmapped,
            },
            None,
            LockClass::Batched,
            estimate::batches(table),
            &format!("{}.backfill", fix.path),
        );
    }

    fn plan_modify(&mut self, fix: &Fix, table: &Table, after: &ColumnType, type_path: &str) {
        let name_path = format!("{}.modifyColumn.name", fix.path);
        let widths = self.now.server.shows_display_widths();
        let Some(column) = self.column(&name_path, table, &fix.column) else { return };
        let place = format!("{}.{}", table.name, column.name);
        if column.generation_expression.is_some() {
            self.problem(
                name_path,
                format!("{place} is a generated column: change its expression yourself, outside this migration"),
            );
            return;
        }
        if let Some(key) = self.key_on(table, &column.name) {
            self.problem(
                name_path,
                format!("{place} is part of the foreign key {key}, which keeps its type: drop the key first"),
            );
            return;
        }
        // Each is judged by the catalogue as it finds it, where only one of them can be true.
        let earlier = self.operations.iter().find(|operation| match &operation.action {
            Action::ModifyColumn { table: other, before, .. } => {
                *other == table.name && same(&before.name, &column.name)
            }
            _ => false,
        });
        if let Some(earlier) = earlier {
            let path = earlier.path.clone();
            self.problem(
                name_path,
                format!("{place} is changed by {path} already: write the type that it shall have in the end there, and remove this type fix"),
            );
            return;
        }
        let Ok(before) = ColumnType::parse(&column.column_type) else {
            self.problem(name_path, format!("{place} is {}, a type that Holdfast cannot change", column.column_type));
            return;
        };
        let same_collation = after.collation.is_none() || after.collation == column.collation;
        if before.spelled(widths) == after.spelled(widths) && same_collation {
            self.warn(format!("{place} is {} already: nothing to change.", column.column_type));
            return;
        }
        if let Some(reason) = loss(&before, after) {
            self.problem(
                type_path,
                format!("{place} is {}; changing it to {} is refused, because {reason}: add a column with a backfill instead", column.column_type, after.spelled(widths)),
            );
            return;
        }
        let added = self.before.table(&table.name).is_none_or(|table| table.column(&column.name).is_none());
        let restated = definition(&table.create_statement, &column.name)
            .and_then(|before| with_type(&before, &column, after, widths).map(|after| (before, after)));
        let Some((before_definition, after_definition)) = restated.filter(|_| !added) else {
            self.problem(
                name_path,
                if added {
                    format!("{place} is added by an earlier type fix: give it the right type there")
                } else {
                    format!(
                        "the definition of {place} is not found in SHOW CREATE TABLE, so its attributes cannot be kept"
                    )
                },
            );
            return;
        };
        let around = Surroundings::of(&column, table);
        let forward = algorithm(&column, around, &before, after);
        let changed = changed_column(&column, after, widths);
        let backward = algorithm(&changed, around, after, &with_collation(&before, &column));
        if backward == Algorithm::Copy
            && forward != Algorithm::Copy
            && !self.input.offline_inverse.contains(&table.name)
        {
            self.problem(
                type_path,
                format!(
                    "changing {place} to {} needs no copy, but its way back does (writers of {} wait for it): acknowledge it with {{hazard: OfflineInverse, table: {}}} in spec.acknowledge",
                    after.spelled(widths), table.name, table.name.table
                ),
            );
        }
        let alter = |definition: &str, algorithm: Algorithm| {
            format!(
                "ALTER TABLE {} MODIFY COLUMN {} {definition}, {}",
                table.name.quoted(),
                column.name.quoted(),
                algorithm.clauses()
            )
        };
        let cost = |algorithm| match algorithm {
            Algorithm::Instant | Algorithm::Inplace => {
                InverseCost { lock: LockClass::Metadata, estimate: estimate::metadata() }
            }
            Algorithm::Copy => InverseCost { lock: LockClass::Copy, estimate: estimate::copy(table) },
        };
        let (forward_cost, inverse_cost) = (cost(forward), cost(backward));
        self.push(
            Section::FixTypes,
            format!("modify-column-{}-{}", table.name.table, column.name),
            Action::ModifyColumn {
                table: table.name.clone(),
                before: column.clone(),
                after_type: after.spelled(widths),
                after_collation: changed.collation.clone(),
            },
            Some((alter(&after_definition, forward), alter(&before_definition, backward))),
            forward_cost.lock,
            forward_cost.estimate,
            &fix.path,
        )
        .inverse_cost = (inverse_cost != forward_cost).then_some(inverse_cost);
        if let Some(table) = self.now.tables.get_mut(&table.name.to_string())
            && let Some(place) = table.columns.iter_mut().find(|each| same(&each.name, &column.name))
        {
            *place = changed;
        }
    }

    /// A foreign key of the catalogue that the column belongs to.
    fn key_on(&self, table: &Table, column: &Identifier) -> Option<Identifier> {
        let holds = |columns: &[Identifier]| columns.iter().any(|each| same(each, column));
        (self.now.foreign_keys.iter())
            .find(|key| {
                (key.child == table.name && holds(&key.columns))
                    || (key.parent == table.name && holds(&key.parent_columns))
            })
            .map(|key| key.name.clone())
    }
}

fn family(column: &Column) -> Option<Family> {
    ColumnType::parse(&column.column_type).ok().map(|parsed| parsed.family())
}

fn described(column: &Column) -> String {
    match &column.collation {
        Some(collation) => format!("{} COLLATE {collation}", column.column_type),
        None => column.column_type.clone(),
    }
}

fn changed_column(column: &Column, after: &ColumnType, widths: bool) -> Column {
    let mut changed = column.clone();
    changed.column_type = after.spelled(widths);
    changed.data_type = after.base.clone();
    let collation = match after.family() {
        Family::Text | Family::Members => after.collation.clone().or(changed.collation),
        _ => None,
    };
    changed.character_set = collation.as_deref().map(|collation| character_set_of(collation).to_owned());
    changed.collation = collation;
    if let (Some(characters), Some(bytes), Some(length)) =
        (column.character_maximum_length, column.character_octet_length, after.arguments.first())
        && characters > 0
    {
        changed.character_maximum_length = Some(u64::from(*length));
        changed.character_octet_length = Some(u64::from(*length) * (bytes / characters));
    }
    changed
}

fn with_collation(column_type: &ColumnType, column: &Column) -> ColumnType {
    ColumnType {
        character_set: column.character_set.clone(),
        collation: column.collation.clone(),
        ..column_type.clone()
    }
}

/// Whether a column of this name can be dropped by INSTANT: MySQL 9.7.4 hides it under the same name behind 23 bytes or more, cuts that at 64
/// bytes, and fails (error 3507) where the cut goes through a character.
fn can_be_hidden(column: &Identifier) -> bool {
    let name = column.as_str();
    name.is_ascii() || name.len() <= 32
}
