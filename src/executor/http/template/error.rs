//! The errors of rendering, and the bounds of a request. The api refuses a target with these texts,
//! and the worker dead-letters an occurrence with them. No text shows what was filled in, or a
//! secret.

use super::{MAX_HEADER, MAX_HEADERS, MAX_URL};
use crate::executor::template::Fault;

/// The reason why a target cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A method that HTTP does not have.
    #[error("http.method is not valid: use GET, POST, PUT, PATCH, DELETE or HEAD")]
    Method,
    /// A text in double braces that is no placeholder.
    #[error("http.{field}: nobody fills in {{{{{name}}}}}")]
    Placeholder {
        /// The part of the target.
        field: &'static str,
        /// The text in the braces.
        name: String,
    },
    /// Not a URL, or a placeholder in its host.
    #[error("http.url is not valid: it must be a URL with placeholders in path and query only")]
    Url,
    /// A value would make a segment of the path empty, `.` or `..`, and so lead elsewhere.
    #[error(
        "http.url: what is filled in would leave its place in the path: a segment must not be \
         empty, . or .."
    )]
    Path,
    /// A part would be longer than its bound.
    #[error("{0}")]
    TooLong(Bound),
    /// A header that cannot be sent.
    #[error("http.headers: {0} would not be one line of text")]
    Header(String),
    /// A target with `auth` or secret headers whose secret could not be opened.
    #[error("http.auth, http.secretHeaders: a secret could not be opened")]
    Secret,
}

impl Error {
    /// The error of a part of the target that is not filled in; `full` makes the one for its bound.
    pub(super) fn filling(field: &'static str, fault: Fault, full: impl FnOnce() -> Self) -> Self {
        match fault {
            Fault::Full => full(),
            Fault::Unknown(name) => Self::Placeholder { field, name },
        }
    }

    /// The field of the target that is at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Method => "http.method",
            Self::Placeholder { field, .. } => match *field {
                "query" => "http.query",
                "headers" => "http.headers",
                "body" => "http.body",
                _ => "http.url",
            },
            Self::Url | Self::Path => "http.url",
            Self::TooLong(bound) => bound.field(),
            Self::Header(_) => "http.headers",
            Self::Secret => "http.auth",
        }
    }
}

/// A bound on a part of a rendered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`MAX_URL`].
    Url,
    /// [`MAX_HEADER`], and the header's name.
    Header(String),
    /// [`MAX_HEADERS`].
    Headers,
    /// The payload limit (`HTTPExecutorPayloadMaxSizeMb`), in bytes.
    Body(usize),
}

impl Bound {
    /// The field of the target that is at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Url => "http.url",
            Self::Header(_) | Self::Headers => "http.headers",
            Self::Body(_) => "http.body",
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filled = "bytes with what is filled in";
        match self {
            Self::Url => write!(
                f,
                "http.url would have more than {MAX_URL} {filled}, http.query included: put the \
                 data into http.body"
            ),
            Self::Header(name) => {
                write!(f, "http.headers: {name} would have more than {MAX_HEADER} {filled}")
            }
            Self::Headers => {
                write!(f, "http.headers would have more than {MAX_HEADERS} {filled} in all")
            }
            Self::Body(max) => write!(
                f,
                "http.body would have more than {max} {filled} (HTTPExecutorPayloadMaxSizeMb)"
            ),
        }
    }
}
