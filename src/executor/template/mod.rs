//! The placeholders of targets: texts in which facts of an occurrence are filled in, within a
//! bound. Pure. The kinds of executor say which texts have placeholders, how long they may become,
//! and what their errors are called; nothing here knows a kind.
//!
//! `{{executionId}}`, `{{jobId}}`, `{{scheduledAt}}`, `{{attempt}}`, `{{data}}` and `{{template}}`
//! are filled in. `{{{{}}` is a literal `{{`: it needs no character that JSON or a URL would
//! escape.

mod compiled;
mod fill;
mod length;

use serde::de::IgnoredAny;

pub(super) use compiled::Template;
pub(super) use fill::{Bounded, ENCODED, Fault, Full, Place, fill_in};
pub use fill::{Fill, unknown};
pub(super) use length::{EXECUTION_ID, INSTANT, Length};

/// The names of the placeholders.
pub const PLACEHOLDERS: [&str; 6] =
    ["executionId", "jobId", "scheduledAt", "attempt", "data", "template"];

/// The text for a literal `{{`.
pub const LITERAL: &str = "{{{{}}";

/// Says whether a text is JSON.
pub(super) fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}
