//! The requests of `http` targets: one request for one occurrence, made from a template
//! ([`HttpTarget`](crate::model::target::HttpTarget)) whose placeholders are filled in. Pure. The
//! worker opens the secrets, renders right before it sends, and puts the result into a `Call`. The
//! api asks [`Sizes`] whether the requests of a job can be sent at all.
//!
//! The placeholders are those of [`template`](crate::executor::template).
//! The place in the template decides how:
//!
//! | place | what is filled in |
//! |---|---|
//! | path, query and fragment of `url` | percent-encoded, so that it stays one segment or value |
//! | values of `query` | percent-encoded, as the rest of the value is |
//! | values of `headers` | as it is; a line break or another control character is an error |
//! | a `body` that is JSON as it is written | escaped, as the text of the JSON string around it |
//! | any other `body` | as it is: `{"order": {{data}}}` takes data that is JSON itself |

mod error;
mod render;
mod sizes;
#[cfg(test)]
mod tests;

pub use error::{Bound, Error};
pub use render::{Opened, Rendered, RequestTemplate};
pub use sizes::Sizes;

/// The most bytes of a rendered URL, query and fragment included. Receivers commonly take 8,190
/// (httpd) to 32 kB (nginx) of a head.
pub const MAX_URL: usize = 16 * 1_024;
/// The most bytes of a rendered header, name and value.
pub const MAX_HEADER: usize = 8 * 1_024;
/// The most bytes of all headers of a target, names and values. The headers of every call do not
/// count.
pub const MAX_HEADERS: usize = 32 * 1_024;
