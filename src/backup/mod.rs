//! What the backup's Jobs run: mysqldump, watched so closely that its output can be called a backup, and a server of their own that
//! restores it. The operator's binary is copied into the image that holds MySQL's programs, so that any image with them will do.

pub mod contents;
pub mod dump;
pub mod install;
pub mod manifest;
pub mod option_file;
mod programs;
pub mod reader;
pub mod restored;
mod scratch;
pub mod verify;

pub use manifest::{Manifest, Outcome, Summary};
pub use restored::Restored;
