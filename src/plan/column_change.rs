//! How the server carries out a change of a column's type, whether anything could get lost by it, and the statement with every
//! other attribute of the column restated, which the server would drop otherwise.

use super::catalogue::{Column, Table};
use super::column_type::{ColumnType, Family};
use super::identifier::Identifier;

/// The way in which the server carries out a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// Metadata only.
    Instant,
    /// In place, readers and writers go on.
    Inplace,
    /// The table is copied, writers wait.
    Copy,
}

impl Algorithm {
    /// The clauses that state it; INSTANT takes no LOCK clause.
    pub(crate) fn clauses(self) -> &'static str {
        match self {
            Self::Instant => "ALGORITHM=INSTANT",
            Self::Inplace => "ALGORITHM=INPLACE, LOCK=NONE",
            Self::Copy => "ALGORITHM=COPY, LOCK=SHARED",
        }
    }
}

/// Longest value whose length InnoDB and the server keep in one byte.
const ONE_LENGTH_BYTE: u64 = 255;

/// What else in the table decides how a column is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Surroundings {
    /// An index holds the column.
    pub(crate) indexed: bool,
    /// A CHECK constraint names the column.
    pub(crate) checked: bool,
}

impl Surroundings {
    /// Looks at the table.
    pub(crate) fn of(column: &Column, table: &Table) -> Self {
        let is_it = |name: &Identifier| name.as_str().to_lowercase() == column.name.as_str().to_lowercase();
        let parts = table.indexes.iter().flat_map(|index| &index.parts);
        Self {
            indexed: parts.filter_map(|part| part.column.as_ref()).any(is_it),
            checked: table.checks.iter().any(|(_, clause)| column.named_in(clause)),
        }
    }
}

/// Which algorithm a change needs. Each kind of change is tried out on a real server by `tests/mysql/column_changes.rs`.
pub(crate) fn algorithm(column: &Column, around: Surroundings, before: &ColumnType, after: &ColumnType) -> Algorithm {
    if before.base != after.base || before.unsigned != after.unsigned {
        return Algorithm::Copy;
    }
    let same_collation = after.collation.is_none() || after.collation == column.collation;
    let same_characters = same_collation || after.character_set == column.character_set;
    match before.family() {
        // The width is a matter of display.
        Family::Integer => Algorithm::Instant,
        Family::Decimal | Family::Floating if before.arguments == after.arguments => Algorithm::Instant,
        // Rows hold numbers, and a CHECK constraint compares them with texts.
        Family::Members if !around.checked && grown_at_the_end(before, after) => Algorithm::Instant,
        Family::Text | Family::Bytes => {
            // All characters of utf8mb3 are the same bytes in utf8mb4; an index is sorted by the collation.
            let extended = matches!(column.character_set.as_deref(), Some("utf8mb3" | "utf8"))
                && after.character_set.as_deref() == Some("utf8mb4");
            let bytes_stay = same_collation || (!around.indexed && (same_characters || extended));
            let width = match (column.character_octet_length, column.character_maximum_length) {
                (Some(bytes), Some(characters)) if characters > 0 => bytes / characters,
                _ => 1,
            };
            let widths = (width, if extended { 4 } else { width });
            if bytes_stay && length_stays(before, after, widths) { Algorithm::Inplace } else { Algorithm::Copy }
        }
        _ => Algorithm::Copy,
    }
}

/// Whether values keep their form: of VARCHAR and VARBINARY also where they may be longer, but need as many bytes for their length.
fn length_stays(before: &ColumnType, after: &ColumnType, (old_width, new_width): (u64, u64)) -> bool {
    match (before.base.as_str(), before.arguments.as_slice(), after.arguments.as_slice()) {
        ("varchar" | "varbinary", [old], [new]) => {
            let one_byte = |length: u32, width: u64| u64::from(length) * width <= ONE_LENGTH_BYTE;
            new >= old && one_byte(*old, old_width) == one_byte(*new, new_width)
        }
        (_, old, new) => old == new,
    }
}

fn grown_at_the_end(before: &ColumnType, after: &ColumnType) -> bool {
    let bytes = if before.base == "enum" { bytes_of_enum } else { bytes_of_set };
    after.members.starts_with(&before.members) && bytes(before) == bytes(after)
}

fn bytes_of_enum(column_type: &ColumnType) -> usize {
    if column_type.members.len() < 256 { 1 } else { 2 }
}

fn bytes_of_set(column_type: &ColumnType) -> usize {
    match column_type.members.len().div_ceil(8) {
        bytes @ 1..=4 => bytes,
        _ => 8,
    }
}

/// Why a change could alter values without an error, so that the old ones could not be brought back; `None` if it cannot. What
/// does not fit (a number out of range, a text too long) is an error of the server in strict mode and changes nothing.
pub(crate) fn loss(before: &ColumnType, after: &ColumnType) -> Option<&'static str> {
    if before.family() != after.family() {
        return Some("it turns one kind of value into another");
    }
    match before.family() {
        Family::Integer | Family::Members => None,
        Family::Decimal => {
            let scale = |column_type: &ColumnType| column_type.arguments.get(1).copied().unwrap_or(0);
            (scale(after) < scale(before)).then_some("digits after the decimal point would be rounded")
        }
        Family::Floating => {
            let narrower = before.base == "double" && after.base == "float";
            let formatted = before.arguments != after.arguments;
            (narrower || formatted).then_some("values would be rounded")
        }
        Family::Text | Family::Bytes => {
            let padded = |column_type: &ColumnType| matches!(column_type.base.as_str(), "char" | "binary");
            (padded(after) && !padded(before) || (padded(before) && before.base == "binary" && before != after))
                .then_some("spaces or zero bytes at the end of values would change")
        }
        Family::Temporal => {
            let fraction = |column_type: &ColumnType| column_type.arguments.first().copied().unwrap_or(0);
            if before.base != after.base {
                Some("it depends on the time zone or drops part of the value")
            } else {
                (fraction(after) < fraction(before)).then_some("fractions of a second would be rounded")
            }
        }
        Family::Other => Some("changes of this type are not supported"),
    }
}

/// A column's definition in SHOW CREATE TABLE, without its name: type and all attributes, exactly as the server states them.
pub(crate) fn definition(create_statement: &str, column: &Identifier) -> Option<String> {
    let start = format!("  {} ", column.quoted());
    create_statement
        .lines()
        .find_map(|line| line.strip_prefix(start.as_str()))
        .map(|definition| definition.strip_suffix(',').unwrap_or(definition).to_owned())
}

/// A definition with another type and every other attribute as it was.
pub(crate) fn with_type(definition: &str, column: &Column, after: &ColumnType, widths: bool) -> Option<String> {
    let mut rest = definition.strip_prefix(column.column_type.as_str())?;
    if after.collation.is_some() {
        for attribute in [" CHARACTER SET ", " COLLATE "] {
            if let Some(value) = rest.strip_prefix(attribute) {
                rest = value.find(' ').map_or("", |end| &value[end..]);
            }
        }
    }
    Some(format!("{}{rest}", after.sql(widths)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const INDEXED: Surroundings = Surroundings { indexed: true, checked: false };

    fn column(column_type: &str, characters: Option<u64>) -> Column {
        Column {
            name: Identifier::new("c").unwrap(),
            column_type: column_type.to_owned(),
            data_type: String::new(),
            nullable: false,
            default: None,
            extra: String::new(),
            character_set: characters.map(|_| "utf8mb4".to_owned()),
            collation: characters.map(|_| "utf8mb4_bin".to_owned()),
            generation_expression: None,
            comment: String::new(),
            character_maximum_length: characters,
            character_octet_length: characters.map(|length| length * 4),
        }
    }

    fn of(before: &str, characters: Option<u64>, after: &str) -> Algorithm {
        algorithm(
            &column(before, characters),
            INDEXED,
            &ColumnType::parse(before).unwrap(),
            &ColumnType::parse(after).unwrap(),
        )
    }

    #[test]
    fn algorithms_follow_the_servers_rules() {
        let checked = Surroundings { indexed: false, checked: true };
        let (old, new) = (ColumnType::parse("enum('a')").unwrap(), ColumnType::parse("enum('a','b')").unwrap());
        assert_eq!(algorithm(&column("enum('a')", Some(1)), checked, &old, &new), Algorithm::Copy);
        assert_eq!(of("int", None, "bigint"), Algorithm::Copy);
        assert_eq!(of("int", None, "int unsigned"), Algorithm::Copy);
        assert_eq!(of("varchar(20)", Some(20), "varchar(63)"), Algorithm::Inplace);
        assert_eq!(of("varchar(20)", Some(20), "varchar(64)"), Algorithm::Copy);
        assert_eq!(of("varchar(64)", Some(64), "varchar(640)"), Algorithm::Inplace);
        assert_eq!(of("varchar(64)", Some(64), "varchar(63)"), Algorithm::Copy);
        assert_eq!(of("varchar(20)", Some(20), "varchar(20) collate utf8mb4_0900_ai_ci"), Algorithm::Copy);
        assert_eq!(of("enum('a')", Some(1), "enum('a','b')"), Algorithm::Instant);
        assert_eq!(of("enum('a','b')", Some(1), "enum('b','a')"), Algorithm::Copy);
    }

    #[test]
    fn changes_that_alter_values_silently_are_known() {
        let lossy = |before: &str, after: &str| {
            loss(&ColumnType::parse(before).unwrap(), &ColumnType::parse(after).unwrap()).is_some()
        };
        for (before, after) in [
            ("varchar(10)", "int"),
            ("decimal(10,4)", "decimal(10,2)"),
            ("double", "float"),
            ("varchar(10)", "char(10)"),
            ("datetime(6)", "datetime"),
            ("datetime", "timestamp"),
            ("json", "json"),
        ] {
            assert!(lossy(before, after), "{before} -> {after}");
        }
        for (before, after) in [
            ("int", "bigint unsigned"),
            ("decimal(10,2)", "decimal(12,4)"),
            ("char(10)", "varchar(10)"),
            ("datetime", "datetime(6)"),
        ] {
            assert!(!lossy(before, after), "{before} -> {after}");
        }
    }

    #[test]
    fn every_other_attribute_is_restated() {
        let create = "CREATE TABLE `t` (\n  `c` varchar(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'x' COMMENT 'a, b' /*!80023 INVISIBLE */,\n  PRIMARY KEY (`c`)\n)";
        let found = definition(create, &Identifier::new("c").unwrap()).unwrap();
        let restate = |after: &str| {
            with_type(&found, &column("varchar(20)", Some(20)), &ColumnType::parse(after).unwrap(), false).unwrap()
        };
        assert_eq!(
            restate("varchar(40)"),
            "varchar(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'x' COMMENT 'a, b' /*!80023 INVISIBLE */"
        );
        assert_eq!(
            restate("varchar(40) collate utf8mb4_bin"),
            "varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT 'x' COMMENT 'a, b' /*!80023 INVISIBLE */"
        );
    }
}
