//! What the backup Job runs: mysqldump, watched so closely that its output can be called a backup. The operator's binary is copied
//! into the image that holds mysqldump, so that any image with the tool will do.

pub mod dump;
pub mod install;
pub mod manifest;
pub mod option_file;
pub mod rows;

pub use manifest::{Manifest, Outcome, Summary};
