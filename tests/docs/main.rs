//! What the documentation says, held against the program: the names, commands, manifests, files and links in it are there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api_reference;
mod commands;
mod figures;
mod links;
mod manifests;
mod pages;
mod runbook;
mod shell;
