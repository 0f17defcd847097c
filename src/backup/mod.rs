//! What the backup's Jobs run: mysqldump, watched so closely that its output can be called a backup, and a server of their own that
//! restores it. The operator's binary is copied into the image that holds MySQL's programs, so that any image with them will do.

mod client;
pub mod compression;
pub mod contents;
pub mod dump;
pub mod install;
mod interruption;
pub mod login;
pub mod made;
pub mod manifest;
pub mod option_file;
mod programs;
pub mod progress;
pub mod put_back;
pub mod reader;
pub mod rehearsal;
pub mod rehearsed;
pub mod remove;
pub mod restored;
pub mod row_counts;
mod scratch;
#[cfg(test)]
mod stand_ins;
pub mod storage;
pub mod verify;

pub use compression::Compression;
pub use manifest::{Manifest, Outcome, Summary};
pub use progress::Progress;
pub use rehearsed::Rehearsed;
pub use remove::Removed;
pub use restored::Restored;
pub use row_counts::RowCounts;
