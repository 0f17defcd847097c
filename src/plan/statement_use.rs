//! Statements of the application that behave otherwise once keys are there, or that no key holds, as the server's own statistics
//! show them: REPLACE deletes a row before it inserts one, TRUNCATE fails on a parent, and with foreign_key_checks off anything goes.

use std::collections::BTreeSet;

use super::Plan;
use super::catalogue::{ForeignKey, ReferentialAction};
use super::digest_text::{Tables, after_words};
use super::identifier::TableName;
use super::model::Action;
use super::problem::Problem;
use crate::api::SchemaMigrationSpec;
use crate::api::execution::Hazard;

/// What the statistics show of the tables of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatementUse {
    /// Tables on which REPLACE (or LOAD DATA ... REPLACE) is used.
    pub replaced: BTreeSet<TableName>,
    /// Tables that are truncated.
    pub truncated: BTreeSet<TableName>,
    /// Whether sessions in a schema of the plan set foreign_key_checks.
    pub sets_checks: bool,
    /// Why something may be missing from all of this: a sentence each.
    pub not_seen: Vec<String>,
}

impl StatementUse {
    /// Takes in a statement's digest text, as the server writes it, and the default schema of its session.
    pub fn see(&mut self, digest: &str, schema: &str, tables: &[TableName], lower_case_table_names: u8) {
        let tables = Tables { names: tables, lower_case_table_names };
        // So begins a statement that the client had prepared.
        let digest = ["PREPARE ", "EXECUTE "].iter().find_map(|word| digest.strip_prefix(word)).unwrap_or(digest);
        if digest.starts_with("SET ") {
            let here = tables.names.iter().any(|table| tables.equal(table.schema.as_str(), schema));
            self.sets_checks |= here && digest.to_lowercase().contains("foreign_key_checks");
            return;
        }
        let Some((kind, rest)) = subject(digest) else { return };
        let found = tables.at(rest, schema).cloned();
        match kind {
            Kind::Replace => self.replaced.extend(found),
            Kind::Truncate => self.truncated.extend(found),
        }
    }

    /// What a reader of the plan should know, one sentence each.
    #[must_use]
    pub fn warnings(&self, plan: &Plan) -> Vec<String> {
        let keys: Vec<&ForeignKey> = keys(plan).map(|(key, _)| key).chain(&plan.adopted).collect();
        let mut warnings = Vec::new();
        for table in &self.replaced {
            let referring = keys.iter().filter(|key| key.parent == *table);
            let mut effects: Vec<String> = referring.map(|key| effect_of_replace(key, plan)).collect();
            let uniques = plan.operations.iter().filter_map(|operation| match &operation.action {
                Action::AddUnique { table: unique, index, .. } if unique == table => Some(index),
                _ => None,
            });
            effects.extend(uniques.map(|index| format!("rows that {index} finds equal are deleted")));
            if !effects.is_empty() {
                warnings.push(format!(
                    "The application uses REPLACE on {table}, which deletes the old row and inserts a new one: {}.",
                    effects.join("; ")
                ));
            }
        }
        for table in self.truncated.iter().filter(|table| keys.iter().any(|key| key.parent == **table)) {
            warnings.push(format!(
                "The application uses TRUNCATE on {table}: once a key refers to it that fails (error 1701), or leaves orphans with \
                 foreign_key_checks off."
            ));
        }
        if self.sets_checks {
            warnings.push(format!(
                "Sessions of the schema {} set foreign_key_checks: what they write with it off no key holds.",
                plan.schema
            ));
        }
        warnings.extend(self.not_seen.iter().map(|why| {
            format!("Not every statement of the application is known, so REPLACE, TRUNCATE and foreign_key_checks = 0 may be used unseen: {why}.")
        }));
        warnings
    }
}

enum Kind {
    Replace,
    Truncate,
}

/// What a statement does, and its text from the table's name on.
fn subject(digest: &str) -> Option<(Kind, &str)> {
    if let Some(rest) = digest.strip_prefix("REPLACE ") {
        return Some((Kind::Replace, after_words(rest, &["LOW_PRIORITY", "DELAYED", "INTO"])));
    }
    if let Some(rest) = digest.strip_prefix("TRUNCATE ") {
        return Some((Kind::Truncate, after_words(rest, &["TABLE"])));
    }
    if digest.starts_with("LOAD ") {
        let (_, rest) = digest.split_once(" REPLACE INTO TABLE ")?;
        return Some((Kind::Replace, rest));
    }
    None
}

/// The keys that a plan adds, each with its path.
fn keys(plan: &Plan) -> impl Iterator<Item = (&ForeignKey, &str)> {
    plan.operations.iter().filter_map(|operation| match &operation.action {
        Action::AddForeignKey { key, .. } => Some((key, operation.path.as_str())),
        _ => None,
    })
}

fn effect_of_replace(key: &ForeignKey, plan: &Plan) -> String {
    match key.on_delete {
        ReferentialAction::Cascade => deletes_children(key, plan),
        ReferentialAction::SetNull => format!("references of {} are set to NULL", key.name),
        ReferentialAction::Restrict | ReferentialAction::NoAction => {
            format!("it fails where {} holds children (error 1451)", key.name)
        }
    }
}

fn deletes_children(key: &ForeignKey, plan: &Plan) -> String {
    if plan.server.native_foreign_keys {
        format!("the children of {} are deleted", key.name)
    } else {
        format!("the children of {} stay here and are deleted on replicas", key.name)
    }
}

/// The keys of a plan whose Cascade parent is among the tables on which REPLACE was seen, and that nobody acknowledged.
#[must_use]
pub fn unacknowledged_replace(spec: &SchemaMigrationSpec, plan: &Plan, seen: &StatementUse) -> Vec<Problem> {
    let same = |one: &str, other: &str| match plan.server.lower_case_table_names {
        0 => one == other,
        _ => one.to_lowercase() == other.to_lowercase(),
    };
    let acknowledged = |table: &TableName| {
        spec.acknowledge
            .iter()
            .any(|each| each.hazard == Hazard::ReplaceOnCascadeParent && same(&each.table, table.table.as_str()))
    };
    keys(plan)
        .filter(|(key, _)| key.on_delete == ReferentialAction::Cascade)
        .filter(|(key, _)| seen.replaced.contains(&key.parent) && !acknowledged(&key.parent))
        .map(|(key, path)| {
            Problem::new(
                format!("{path}.onDelete"),
                format!(
                    "the application uses REPLACE on {}, which deletes the old row and inserts a new one: {}. Use INSERT ... ON DUPLICATE KEY \
                     UPDATE there (and TRUNCATE performance_schema.events_statements_summary_by_digest, which remembers), or acknowledge it with \
                     {{hazard: ReplaceOnCascadeParent, table: {}}} in spec.acknowledge",
                    key.parent,
                    deletes_children(key, plan),
                    key.parent.table
                ),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plan::Identifier;

    fn table(schema: &str, table: &str) -> TableName {
        TableName::new(Identifier::new(schema).unwrap(), Identifier::new(table).unwrap())
    }

    fn replaced(digest: &str, schema: &str, case: u8) -> Vec<String> {
        let tables =
            [table("shop", "users"), table("shop", "odd name"), table("other", "users"), table("shop", "tick`s")];
        let mut seen = StatementUse::default();
        seen.see(digest, schema, &tables, case);
        seen.replaced.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_the_table_that_is_written_counts() {
        assert_eq!(replaced("REPLACE INTO `users` VALUES (...)", "shop", 0), ["shop.users"]);
        assert_eq!(replaced("REPLACE LOW_PRIORITY INTO `users` SET `id` = ?", "other", 0), ["other.users"]);
        assert_eq!(replaced("REPLACE `odd name` ( `id` ) VALUES (?)", "shop", 0), ["shop.odd name"]);
        assert_eq!(replaced("REPLACE INTO `tick`s` VALUES (?)", "shop", 0), ["shop.tick`s"]);
        assert_eq!(replaced("REPLACE INTO `other` . `users` VALUES (?)", "shop", 0), ["other.users"]);
        assert_eq!(replaced("LOAD DATA INFILE ? REPLACE INTO TABLE `users`", "shop", 0), ["shop.users"]);
        assert_eq!(replaced("EXECUTE REPLACE INTO `users` VALUES (?)", "shop", 0), ["shop.users"]);
        for elsewhere in [
            "REPLACE INTO `copies` SELECT * FROM `users`",
            "REPLACE INTO `users_old` VALUES (?)",
            "REPLACE INTO `users` . `copies` VALUES (?)",
            "INSERT INTO `users` VALUES (?)",
            "SELECT REPLACE ( `name` , ... ) FROM `users`",
        ] {
            assert_eq!(replaced(elsewhere, "shop", 0), Vec::<String>::new(), "{elsewhere}");
        }
    }

    #[test]
    fn letters_case_counts_where_it_does_for_the_server() {
        assert_eq!(replaced("REPLACE INTO `Users` VALUES (?)", "shop", 0), Vec::<String>::new());
        assert_eq!(replaced("REPLACE INTO `Users` VALUES (?)", "Shop", 1), ["shop.users"]);
    }

    #[test]
    fn truncation_and_checks_are_seen() {
        let tables = [table("shop", "users")];
        let mut seen = StatementUse::default();
        seen.see("SET SESSION `foreign_key_checks` = ?", "elsewhere", &tables, 0);
        assert_eq!(seen, StatementUse::default());
        seen.see("SET SESSION `foreign_key_checks` = ?", "shop", &tables, 0);
        seen.see("TRUNCATE TABLE `users`", "shop", &tables, 0);
        assert!(seen.sets_checks && seen.truncated.contains(&tables[0]) && seen.replaced.is_empty());
    }
}
