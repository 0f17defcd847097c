//! A plan for people: the page to read before approving it. The plan as SQL is in `script`.

use std::fmt::Write as _;

use super::cascades::{CascadePath, Reach};
use super::catalogue::{Column, ForeignKey};
use super::identifier::{Identifier, TableName};
use super::model::{Action, DuplicatePolicy, LockClass, NO_LIMIT, Operation, OrphanPolicy, Plan, Section};

/// Cascade paths that the page lists.
const LISTED_CASCADES: usize = 20;
/// Characters of a statement of the user's own that the page shows.
const LONGEST_STATEMENT: usize = 120;

/// The page that a person reads before approving.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let mut page = String::new();
    let keys =
        plan.operations.iter().filter(|operation| matches!(operation.action, Action::AddForeignKey { .. })).count();
    line(&mut page, &format!("Plan {}", plan.digest));
    line(&mut page, &format!("Schema {} on {}", plan.schema, plan.server.version_text));
    line(
        &mut page,
        &format!(
            "{} to add in {}, {} there already; {} on {}; about {} in all",
            counted(keys, "foreign key"),
            counted(plan.stages.len(), "stage"),
            plan.adopted.len(),
            counted(plan.operations.len(), "operation"),
            counted(plan.changed().len(), "table"),
            duration(plan.operations.iter().map(|operation| operation.estimate.milliseconds).sum())
        ),
    );
    let copies: Vec<_> = plan.operations.iter().filter(|operation| operation.lock == LockClass::Copy).collect();
    if !copies.is_empty() {
        line(
            &mut page,
            "\n!!! COPY: writers of these tables wait for the whole of the step, and wait again if it is undone:",
        );
        for operation in copies {
            line(
                &mut page,
                &format!(
                    "!!! {} about {} ({} rows)",
                    operation.action.table(),
                    duration(operation.estimate.milliseconds),
                    grouped(operation.estimate.rows)
                ),
            );
        }
    }
    if !plan.warnings.is_empty() {
        line(&mut page, "\nWarnings");
        for warning in &plan.warnings {
            line(&mut page, &format!("  - {}", one_line(warning)));
        }
    }
    if !plan.adopted.is_empty() {
        line(&mut page, "\nThere already: not added, only proven");
        for key in &plan.adopted {
            line(&mut page, &format!("  - {}", one_line(&key_text(key))));
        }
    }
    cascades(&mut page, plan);
    let mut section = None;
    for operation in &plan.operations {
        if section != Some(operation.section) {
            section = Some(operation.section);
            let of_section = plan.operations.iter().filter(|other| other.section == operation.section);
            let sum = of_section.map(|other| other.estimate.milliseconds).sum();
            line(&mut page, &format!("\n{} (about {})", title(plan, operation.section), duration(sum)));
        }
        line(
            &mut page,
            &format!(
                "  {} {:<12} {:>13} rows {:>10} {:>8}  {}",
                operation.id.split('-').next().unwrap_or_default(),
                lock(operation.lock),
                grouped(operation.estimate.rows),
                bytes(operation.estimate.bytes),
                duration(operation.estimate.milliseconds),
                describe(operation)
            ),
        );
    }
    line(
        &mut page,
        "\nMetadata: an exclusive lock for an instant. Online: readers and writers go on. Batched: rows change in short\n\
         transactions; rows are those read, the ones that change are in the validation report. COPY: writers wait.\n\
         What must hold before and after each operation stands in the plan as SQL and as JSON.",
    );
    page
}

/// What becomes of a column's type, in words.
pub(crate) fn changed_type(before: &Column, after_type: &str, after_collation: Option<&str>) -> String {
    match (&before.collation, after_collation) {
        (Some(old), Some(new)) if old != new => {
            format!("from {} COLLATE {old} to {after_type} COLLATE {new}", before.column_type)
        }
        _ => format!("from {} to {after_type}", before.column_type),
    }
}

/// The widest-reaching paths; the plan's JSON has all of them.
fn cascades(page: &mut String, plan: &Plan) {
    if plan.cascades.is_empty() {
        return;
    }
    line(page, "\nWhat the deletion of one row takes along at worst");
    let mut paths: Vec<&CascadePath> = plan.cascades.iter().collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.reach.rows()));
    for path in paths.iter().take(LISTED_CASCADES) {
        line(page, &format!("  - {}", one_line(&cascade(path))));
    }
    if paths.len() > LISTED_CASCADES {
        line(page, &format!("  and {} more paths, in the JSON", paths.len() - LISTED_CASCADES));
    }
}

/// `users -> bookmarks -> tags: 1,234 rows deleted (exact)`
#[must_use]
pub fn cascade(path: &CascadePath) -> String {
    let tables = path.keys.iter().map(|key| format!(" -> {}", key.child.table)).collect::<String>();
    let what = if path.sets_null() { "set to NULL" } else { "deleted" };
    let reach = match path.reach {
        Reach::Exact(rows) => format!("{} rows {what} (exact)", grouped(rows)),
        Reach::Sampled(rows) => format!("about {} rows {what} (sampled)", grouped(rows)),
        Reach::NotMeasured => {
            format!("rows {what} (not measured: a column of the path is added or changed first, or time was up)")
        }
    };
    format!("{}{tables}: {reach}", path.from.table)
}

pub(super) fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Names may hold line ends; a line of a page or a comment must not.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(crate) fn title(plan: &Plan, section: Section) -> String {
    let title = match section {
        Section::CleanUp => "Clean up: orphans and duplicates go to quarantine".to_owned(),
        Section::FixTypes => "Fix types".to_owned(),
        Section::AddUniques => "Add unique constraints".to_owned(),
        Section::Stage(place) => {
            let name = plan.stages.get(place).map_or("", |stage| stage.name.as_str());
            format!("Stage {} of {}: {name}", place + 1, plan.stages.len())
        }
        Section::FillAgain => "Fill again what the application wrote before its schema was up to date".to_owned(),
    };
    one_line(&title)
}

fn lock(class: LockClass) -> &'static str {
    match class {
        LockClass::Metadata => "Metadata",
        LockClass::OnlineBuild => "Online",
        LockClass::Batched => "Batched",
        LockClass::Copy => "!!! COPY !!!",
    }
}

/// What an operation does, in one line.
pub(crate) fn describe(operation: &Operation) -> String {
    let text = match &operation.action {
        Action::RemoveOrphans { key, policy } => format!(
            "orphans of {}: {} -> {}, {}",
            key.name,
            place(&key.child, &key.columns),
            place(&key.parent, &key.parent_columns),
            match policy {
                OrphanPolicy::Fail => "stop if there are any",
                OrphanPolicy::Delete => "remove the rows",
                OrphanPolicy::SetNull => "set to NULL",
            }
        ),
        Action::RemoveDuplicates { table, columns, policy, order_by, dependents } => {
            let what = match policy {
                DuplicatePolicy::Fail => "stop if there are any".to_owned(),
                DuplicatePolicy::KeepNewest => format!("keep the greatest {order_by}"),
                DuplicatePolicy::KeepOldest => format!("keep the smallest {order_by}"),
            };
            let children = match dependents.len() {
                0 => String::new(),
                several => format!(", children by {several} keys point to the row that stays"),
            };
            format!("duplicates of {}: {what}{children}", place(table, columns))
        }
        Action::AddColumn { table, column } => format!("add the column {table}.{column}"),
        Action::Backfill { table, column, lookup_table, take, max_unmapped: NO_LIMIT, .. } => {
            format!("fill {table}.{column} again from {lookup_table}.{take}, and count rows without a value")
        }
        Action::Backfill { table, column, lookup_table, take, max_unmapped, .. } => {
            format!(
                "fill {table}.{column} from {lookup_table}.{take}, at most {} rows without a value",
                grouped(*max_unmapped)
            )
        }
        Action::ModifyColumn { table, before, after_type, after_collation } => {
            format!("change {table}.{} {}", before.name, changed_type(before, after_type, after_collation.as_deref()))
        }
        Action::AddIndex { table, index, columns } => format!("add the index {index} on {}", place(table, columns)),
        Action::AddUnique { table, index, columns } => {
            format!("add the unique constraint {index} on {}", place(table, columns))
        }
        Action::AddForeignKey { key, .. } => format!("add the foreign key {}", key_text(key)),
        Action::Sql(step) => {
            let statement = shortened(operation.forward.as_deref().unwrap_or_default());
            let reads = step.reads.iter().map(|table| format!(", reading {table}")).collect::<String>();
            format!("your own statement of {:?} on {}{reads}: {statement}", step.step, step.table)
        }
    };
    one_line(&text)
}

/// The beginning of a statement; the whole of it is in the scripts.
fn shortened(statement: &str) -> String {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST_STATEMENT) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

fn key_text(key: &ForeignKey) -> String {
    format!(
        "{}: {} -> {} ON DELETE {} ON UPDATE {}",
        key.name,
        place(&key.child, &key.columns),
        place(&key.parent, &key.parent_columns),
        key.on_delete.sql(),
        key.on_update.sql()
    )
}

fn place(table: &TableName, columns: &[Identifier]) -> String {
    format!("{} ({})", table.table, columns.iter().map(Identifier::as_str).collect::<Vec<_>>().join(", "))
}

/// `1 file`, `2 files`, `1,234 files`. What is negative counts as none.
#[must_use]
pub fn counted(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(0);
    let ending = match number {
        1 => "",
        _ if noun.ends_with('x') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", grouped(number))
}

/// `1,234,567`
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `< 1 s`, `12 s`, `3 min`, `2 h`
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => "< 1 s".to_owned(),
        1_000..120_000 => format!("{} s", milliseconds / 1_000),
        120_000..7_200_000 => format!("{} min", milliseconds / 60_000),
        _ => format!("{} h", milliseconds / 3_600_000),
    }
}

/// `1.5 GiB`
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} bytes");
    }
    // Tenths of the unit, so that no fraction is needed.
    let (mut tenths, mut unit) = (number.saturating_mul(10) / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        (tenths, unit) = (tenths / 1024, unit + 1);
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}
