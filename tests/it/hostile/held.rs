//! What held when it was attacked, and has to go on holding: one table for each sort of attack, on one
//! node each. Paths of backups are `crate::backup`'s.

mod calls;
mod floods;
mod requests;
mod secrets;
mod values;
