//! `kubectl holdfast report`: one page about a whole migration, for those who decide about it, look back at it, or show it to somebody.
//!
//! A [`Report`] is built from the objects that were read ([`Sources`]), and then written as HTML, as text or as JSON. Pure: no I/O, so that
//! every page is tested without a cluster.

mod build;
mod create_table;
mod facts;
mod journal;
mod layout;
mod markup;
mod model;
mod people;
mod schema;
mod security;
mod sources;
mod text;
mod timeline;
mod words;

mod page;

#[cfg(test)]
mod example;
#[cfg(test)]
mod tests;

pub use model::Report;
pub use page::{Kind, Page, list, page};
pub use security::policy;
pub use sources::{Read, Sources};
pub use text::text;
