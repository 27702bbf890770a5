//! Tables of attacks that have no effect, one table for each kind of attack on a node of its own.
//! The paths of backups are tested in `crate::backup`.

mod calls;
mod floods;
mod requests;
mod secrets;
mod values;
