//! A foreign key of a catalogue as an entry of a stage.

use crate::api::constraints::{ForeignKey, OrphanPolicy, References, ReferentialAction};
use crate::plan::catalogue;
use crate::plan::identifier::Identifier;

/// The entry, with the policy for orphans that changes nothing.
#[must_use]
pub fn key_entry(key: &catalogue::ForeignKey) -> ForeignKey {
    let names = |columns: &[Identifier]| columns.iter().map(ToString::to_string).collect::<Vec<_>>();
    let action = |action| match action {
        catalogue::ReferentialAction::Restrict => ReferentialAction::Restrict,
        catalogue::ReferentialAction::NoAction => ReferentialAction::NoAction,
        catalogue::ReferentialAction::Cascade => ReferentialAction::Cascade,
        catalogue::ReferentialAction::SetNull => ReferentialAction::SetNull,
    };
    ForeignKey {
        name: key.name.to_string(),
        table: key.child.table.to_string(),
        columns: names(&key.columns),
        references: References {
            schema: (key.parent.schema != key.child.schema).then(|| key.parent.schema.to_string()),
            table: key.parent.table.to_string(),
            columns: names(&key.parent_columns),
        },
        on_delete: action(key.on_delete),
        on_update: action(key.on_update),
        orphans: OrphanPolicy::Fail,
    }
}
