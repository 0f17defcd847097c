//! What a deletion of the parent should do, as the shape of the child suggests it. Only a suggestion: whoever knows the data decides.

use super::vocabulary::TableWords;
use super::words::{reference, same_noun};
use crate::plan::catalogue::{Column, ReferentialAction};

/// A suggested action and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The action.
    pub action: ReferentialAction,
    /// Why, for people.
    pub why: String,
}

/// Suggests an action for a key over `columns` of `child`.
pub(super) fn suggest(child: &TableWords<'_>, columns: &[&Column], parent: &TableWords<'_>) -> Suggestion {
    let table = child.table;
    let primary = table.primary_key();
    let in_primary =
        columns.iter().all(|column| primary.iter().any(|own| same_name(own.as_str(), column.name.as_str())));
    let nullable = columns.iter().all(|column| column.nullable);
    let own = std::ptr::eq(child, parent);
    let of = |action, why: String| Suggestion { action, why };
    let names = || columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    if in_primary && !own {
        return allowed(
            child,
            columns,
            of(
                ReferentialAction::Cascade,
                format!(
                    "{} is part of the primary key, so a row of {} is nothing without its parent",
                    names(),
                    child.name()
                ),
            ),
        );
    }
    if nullable && !own {
        return allowed(
            child,
            columns,
            of(
                ReferentialAction::SetNull,
                format!("{} may be NULL, so a row of {} can stay without its parent", names(), child.name()),
            ),
        );
    }
    // `order_items` of `orders`.
    let leads = |words: &[String], other: &[String]| {
        words.len() > other.len() && words.iter().zip(other).all(|(one, two)| same_noun(one, two))
    };
    if !own && !nullable && leads(&child.words, &parent.words) {
        return allowed(
            child,
            columns,
            of(
                ReferentialAction::Cascade,
                format!("by its name {} is a part of {}, and {} is never NULL", child.name(), parent.name(), names()),
            ),
        );
    }
    let why = if own {
        format!("rows of {} stand in a tree or chain, and one should not go while others hang on it", child.name())
    } else {
        format!("{} is never NULL and nothing says that rows of {} go with their parent", names(), child.name())
    };
    of(ReferentialAction::Restrict, why)
}

/// What the server would refuse becomes Restrict.
fn allowed(child: &TableWords<'_>, columns: &[&Column], wanted: Suggestion) -> Suggestion {
    let restrict = |why: String| Suggestion { action: ReferentialAction::Restrict, why };
    for column in columns {
        let named = column.name.quoted();
        if wanted.action == ReferentialAction::SetNull {
            if column.generation_expression.is_some() {
                return restrict(format!("{} is generated, so no action can change it", column.name));
            }
            if let Some((check, _)) = child.table.checks.iter().find(|(_, clause)| clause.contains(&named)) {
                return restrict(format!(
                    "{} is under the CHECK constraint {check}, so SetNull is not possible",
                    column.name
                ));
            }
        }
        let base_of = child.table.columns.iter().find(|each| {
            each.extra.to_uppercase().contains("STORED")
                && each.generation_expression.as_ref().is_some_and(|text| text.contains(&named))
        });
        if let Some(generated) = base_of {
            return restrict(format!(
                "the stored column {} is computed from {}, so only Restrict is possible",
                generated.name, column.name
            ));
        }
    }
    wanted
}

fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Whether a column says that it identifies something else.
pub(super) fn looks_like_a_reference(column: &Column) -> bool {
    let reference = reference(column.name.as_str());
    !reference.stem.is_empty()
        && reference.suffix.as_deref().is_some_and(|suffix| matches!(suffix, "id" | "uid" | "uuid" | "guid" | "fk"))
}
