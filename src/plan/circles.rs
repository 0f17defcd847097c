//! Keys by which one deletion comes round to the same table again. A MySQL that carries foreign keys out itself, above InnoDB (9.7 by default),
//! does not follow such a deletion to its end. Measured on 9.7.4 (tests/mysql/circles.rs): rows stay whose parent is gone, without any error,
//! or the deletion is refused with error 6575. With `innodb_native_foreign_keys=ON`, and on 8.0 and MariaDB, none of it was seen.

use std::collections::{BTreeMap, BTreeSet};

use super::build::Planner;
use super::catalogue::{ForeignKey, ReferentialAction};
use super::identifier::TableName;

/// Keys that lead round, and the tables on the way.
#[derive(Debug)]
pub(super) struct Round {
    tables: BTreeSet<TableName>,
    keys: Vec<ForeignKey>,
}

/// Whether a deletion, or what it sets to NULL, goes along the key.
pub(super) fn follows(key: &ForeignKey) -> bool {
    matches!(key.on_delete, ReferentialAction::Cascade | ReferentialAction::SetNull)
}

/// Of the circles, those that are not followed to their end and that a wanted key is part of: over several tables, and from a table to itself
/// where other keys lead away from it, too: what lies below them is lost then.
pub(super) fn rounds(keys: &[ForeignKey], circles: &[Vec<&ForeignKey>], wanted: &BTreeSet<&str>) -> Vec<Round> {
    let mut found: BTreeMap<BTreeSet<TableName>, Vec<ForeignKey>> = BTreeMap::new();
    for circle in circles {
        let mut round: Vec<&ForeignKey> = circle.clone();
        if let [own] = circle[..] {
            round.extend(below(keys, own));
            if round.len() == 1 {
                continue;
            }
        }
        if round.iter().any(|key| wanted.contains(key.name.as_str())) {
            let tables = circle.iter().map(|key| key.child.clone()).collect();
            found.entry(tables).or_insert_with(|| round.into_iter().cloned().collect());
        }
    }
    found.into_iter().map(|(tables, keys)| Round { tables, keys }).collect()
}

/// The other keys that a deletion in the table of a key to itself goes along.
fn below<'a>(keys: &'a [ForeignKey], own: &ForeignKey) -> Vec<&'a ForeignKey> {
    let (mut found, mut seen, mut open) = (Vec::new(), BTreeSet::new(), vec![&own.parent]);
    while let Some(table) = open.pop() {
        if !seen.insert(table) {
            continue;
        }
        for key in keys.iter().filter(|key| key.parent == *table && key.name != own.name && follows(key)) {
            found.push(key);
            if key.on_delete == ReferentialAction::Cascade && !seen.contains(&key.child) {
                open.push(&key.child);
            }
        }
    }
    found
}

impl Planner<'_> {
    /// Refuses what nobody acknowledged, and warns of what somebody did.
    pub(super) fn plan_rounds(&mut self, rounds: Vec<Round>) {
        for Round { tables, keys } in rounds {
            let Some(first) = tables.first() else { continue };
            let wanted = self.input.stages.iter().flat_map(|stage| &stage.keys);
            let of_round = |name: &str| keys.iter().any(|key| key.name.as_str() == name);
            let Some(path) = wanted.map(|each| (each.key.name.as_str(), &each.path)).find(|(name, _)| of_round(name))
            else {
                continue;
            };
            let path = format!("{}.onDelete", path.1);
            let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            let danger = format!(
                "a deletion in {first} comes round to it again by the keys {}, and this server, which carries foreign keys out itself \
                 (innodb_native_foreign_keys=OFF), does not follow such a deletion to its end: rows can stay whose parent is gone, or the deletion is \
                 refused (error 6575; both measured on 9.7.4)",
                names.join(", ")
            );
            if tables.iter().any(|table| self.input.circles.contains(table)) {
                self.warn(format!("Acknowledged: {danger}."));
            } else {
                self.problem(
                    path,
                    format!(
                        "{danger}. Start the server with innodb_native_foreign_keys=ON, choose Restrict for one of these keys, or accept it with \
                         {{hazard: CascadeCircle, table: {}}} in spec.acknowledge",
                        first.table
                    ),
                );
            }
        }
    }
}
