//! Drafts of migrations for a person to edit: foreign keys that the names, types and data of a schema suggest, what SQL migration
//! files say, and what one schema has and another lacks. No I/O: the plugin reads, these judge.

pub mod difference;
pub mod discover;
pub mod import;
pub mod key_entry;
