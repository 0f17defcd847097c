//! What a dump holds, as it can be compared: for each table its definition, its rows and a digest of them, and a digest of each view,
//! trigger, routine and event.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::manifest::hexadecimal;

/// What a dump holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The program that wrote it, with its version, as its first line says.
    pub tool: Option<String>,
    /// Version of the server that it was read from.
    pub server_version: Option<String>,
    /// Tables by name.
    pub tables: BTreeMap<String, Table>,
    /// SHA-256 of the definition of each view, trigger, procedure, function and event, by kind and name (`TRIGGER log_user`).
    pub objects: BTreeMap<String, String>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of its definition without the value of AUTO_INCREMENT.
    pub definition: String,
    /// The SHA-256 of every row, added up modulo 2^256: the same rows in another order, or in other statements, give the same sum.
    pub content: String,
    /// FLOAT columns: mysqldump writes six of their digits, so they come back rounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lossy_columns: Vec<String>,
}

impl Table {
    /// A table without rows.
    pub(super) fn empty(definition: &[u8]) -> Self {
        Self {
            rows: 0,
            definition: hexadecimal(&Sha256::digest(without_counter(definition))),
            content: RowSum::default().hexadecimal(),
            lossy_columns: lossy_columns(definition),
        }
    }
}

/// The digests of rows, added up. Servers promise no order of rows, so no order may count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RowSum([u64; 4]);

impl RowSum {
    pub(super) fn add(&mut self, digest: &[u8]) {
        let mut carry = false;
        for (part, bytes) in self.0.iter_mut().zip(digest.chunks_exact(8)) {
            let more = bytes.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
            let (sum, over) = part.overflowing_add(more);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            (*part, carry) = (sum, over || over_again);
        }
    }

    /// With the rows of another sum.
    pub(super) fn join(&mut self, other: Self) {
        let bytes: Vec<u8> = other.0.iter().flat_map(|part| part.to_le_bytes()).collect();
        self.add(&bytes);
    }

    pub(super) fn hexadecimal(self) -> String {
        let bytes: Vec<u8> = self.0.iter().flat_map(|part| part.to_le_bytes()).collect();
        hexadecimal(&bytes)
    }
}

/// A definition without `AUTO_INCREMENT=n`, which a restore may set higher: an UPDATE of an id past the counter does not move it, the
/// INSERT of that row does. The option stands in the line after the columns, before every text of the user's.
fn without_counter(definition: &[u8]) -> Vec<u8> {
    static COUNTER: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?-u)\n\) (?:/\*![^*]*\*/ )?ENGINE=\w+ AUTO_INCREMENT=[0-9]+").ok());
    let Some(found) = COUNTER.as_ref().and_then(|counter| counter.find(definition)) else { return definition.to_vec() };
    let option = found.as_bytes().windows(16).rposition(|window| window == b" AUTO_INCREMENT=").unwrap_or(found.len());
    let (before, after) = (definition.get(..found.start() + option), definition.get(found.end()..));
    [before.unwrap_or_default(), after.unwrap_or_default()].concat()
}

fn lossy_columns(definition: &[u8]) -> Vec<String> {
    static FLOAT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?m-u)^\s+`((?:[^`]|``)+)` float\b").ok());
    let columns = FLOAT.iter().flat_map(|float| float.captures_iter(definition));
    columns.filter_map(|found| found.get(1)).map(|name| unquoted(name.as_bytes())).collect()
}

/// Kind and name of what a statement creates beside tables; `None`: it creates nothing.
pub(super) fn object(statement: &[u8]) -> Option<String> {
    static CREATES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?-u)\b(TRIGGER|PROCEDURE|FUNCTION|EVENT|VIEW)\s+(?:IF NOT EXISTS\s+)?(?:`((?:[^`]|``)+)`|([^\s(`]+))",
        )
        .ok()
    });
    let found = CREATES.as_ref().and_then(|creates| creates.captures(statement))?;
    let kind = String::from_utf8_lossy(found.get(1)?.as_bytes()).into_owned();
    let name = found.get(2).or_else(|| found.get(3))?;
    Some(format!("{kind} {}", unquoted(name.as_bytes())))
}

fn unquoted(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace("``", "`")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DEFINITION: &str = " (\n  `id` int NOT NULL AUTO_INCREMENT COMMENT ') ENGINE=InnoDB AUTO_INCREMENT=5',\n  `we``ight` float DEFAULT NULL,\n  \
        `height` float(5,2) DEFAULT NULL,\n  `float` double DEFAULT NULL,\n  PRIMARY KEY (`id`)\n\
        ) ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4 COMMENT='AUTO_INCREMENT=7'";

    #[test]
    fn the_counter_does_not_count_and_everything_else_does() {
        let digest = |text: &str| Table::empty(text.as_bytes()).definition;
        let without = DEFINITION.replace(" AUTO_INCREMENT=42", "");
        assert_eq!(digest(DEFINITION), digest(&DEFINITION.replace("=42", "=43")));
        assert_eq!(digest(DEFINITION), digest(&without));
        assert_ne!(digest(DEFINITION), digest(&DEFINITION.replace("=7", "=8")), "a comment is the user's text");
        assert_ne!(digest(DEFINITION), digest(&DEFINITION.replace("=5", "=6")), "a comment is the user's text");
        assert_ne!(digest(DEFINITION), digest(&DEFINITION.replace("double", "float")));
    }

    #[test]
    fn float_columns_are_named() {
        assert_eq!(Table::empty(DEFINITION.as_bytes()).lossy_columns, ["we`ight", "height"]);
    }

    #[test]
    fn rows_count_in_any_order_and_each_time_that_they_occur() {
        let sum = |rows: &[&str]| {
            let mut sum = RowSum::default();
            rows.iter().for_each(|row| sum.add(&Sha256::digest(row)));
            sum.hexadecimal()
        };
        assert_eq!(sum(&["(1)", "(2)", "(3)"]), sum(&["(3)", "(1)", "(2)"]));
        assert_ne!(sum(&["(1)", "(1)"]), sum(&["(1)"]));
        assert_ne!(sum(&["(1)", "(1)"]), sum(&["(2)", "(2)"]));
        let mut most = RowSum([u64::MAX; 4]);
        most.add(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(most.hexadecimal(), "0".repeat(64), "what is carried goes on to the last digit");
    }

    #[test]
    fn objects_are_named_by_kind_and_name() {
        let trigger = b"/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`%`*/ /*!50003 TRIGGER `lo``g` BEFORE INSERT ON `t` FOR EACH ROW SET @a = 1 */";
        assert_eq!(object(trigger).unwrap(), "TRIGGER lo`g");
        assert_eq!(object(b"CREATE DEFINER=`a`@`%` PROCEDURE `p`() BEGIN END").unwrap(), "PROCEDURE p");
        assert_eq!(object(b"CREATE FUNCTION f() RETURNS int RETURN 1").unwrap(), "FUNCTION f");
        assert_eq!(object(b"/*!50003 SET time_zone = 'SYSTEM' */"), None);
    }
}
