//! Backups of the state: a file for a download, or one that stays in a folder of the node. They are
//! for operators, since a backup holds every tenant's jobs and fills a disk.
//!
//! A node makes one backup at a time. Paths lead into `BackupDir` and nowhere else.

mod create;
mod inspect;
mod list;
mod path;
pub(in crate::app) mod slot;
mod work;

pub use create::{BackupFile, StoredBackup};
pub use inspect::InspectedBackup;
pub use list::ListedBackup;
pub use slot::{BackupProgress, BackupState};

pub use crate::cluster::backup::Facts;
