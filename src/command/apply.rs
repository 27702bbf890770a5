//! The one place where replicated state changes.

use super::{Change, Command, Error, Outcome};
use crate::model::Millis;
use crate::store::Tx;

/// Applies one command at its log index and stamp. An `Err` is the store's failure and stops the
/// node; what is wrong with the command comes back as [`Outcome::Rejected`].
pub fn apply(
    _tx: &mut Tx<'_>,
    _index: u64,
    _stamp: Millis,
    _command: &Command,
    _change: &mut Change,
) -> Result<Outcome, Error> {
    Ok(Outcome::Done)
}
