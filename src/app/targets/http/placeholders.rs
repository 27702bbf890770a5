//! The placeholders in the texts of a target.

use crate::app::error::Error;
use crate::executor::template::{LITERAL, PLACEHOLDERS, unknown};

/// The most unknown placeholders that an error names.
const MOST_SHOWN: usize = 5;

/// Refuses a placeholder that the sender does not know.
pub(super) fn check_placeholders(field: &'static str, text: &str) -> Result<(), Error> {
    let mut unknown = unknown(text);
    if unknown.is_empty() {
        return Ok(());
    }
    unknown.truncate(MOST_SHOWN);
    let braced = |name: &str| {
        let name: String = name.chars().take_while(|c| *c != '}').take(40).collect();
        format!("{{{{{name}}}}}")
    };
    let shown: Vec<_> = unknown.into_iter().map(braced).collect();
    let known = PLACEHOLDERS.map(braced).join(" ");
    let message = format!(
        "{field}: nobody fills in {}, only {known}; write {LITERAL} where {{{{ itself is meant",
        shown.join(" ")
    );
    Err(Error::unprocessable(message).field(field))
}
