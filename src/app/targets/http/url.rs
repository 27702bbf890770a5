//! The URL of a target: checked for its form, its placeholders, and whether this node calls it.

use url::{Origin, Url};

use crate::app::error::Error;
use crate::app::targets::http::placeholders::check_placeholders;
use crate::executor::guard::{self, TargetGuard};

const LONGEST_URL: usize = 2_048;

/// Checks the URL of a target, in whose path and query placeholders may stand; returns its origin.
pub(in crate::app) fn check_url(
    field: &'static str,
    url: &str,
    guard: &TargetGuard,
) -> Result<Origin, Error> {
    if url.is_empty() {
        return Err(Error::invalid(field, format!("{field} is required")));
    }
    check_placeholders(field, url)?;
    address(url, guard).map_err(|unfit| {
        let message = format!("{field} is not valid: {unfit}");
        match unfit {
            Unfit::Refused(_) => Error::target_not_allowed(field, message),
            Unfit::Unsound(_) => Error::invalid(field, message),
        }
    })
}

/// The reason why a URL is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// It is not sound.
    #[error("{0}")]
    Unsound(String),
    /// Calls must not go there.
    #[error("{0}")]
    Refused(guard::Error),
}

impl From<guard::Error> for Unfit {
    fn from(error: guard::Error) -> Self {
        if error.is_refusal() { Self::Refused(error) } else { Self::Unsound(error.to_string()) }
    }
}

/// The origin of a URL that this node may call, or the reason why it may not. `check_url` and
/// callbacks use it.
pub(crate) fn address(url: &str, guard: &TargetGuard) -> Result<Origin, Unfit> {
    let unsound = |why: String| Err(Unfit::Unsound(why));
    if url.len() > LONGEST_URL {
        return unsound(format!("it has more than {LONGEST_URL} bytes"));
    }
    guard.check_url(url)?;
    if url.contains(char::is_whitespace) {
        return unsound("it has spaces in it: encode them as %20".to_owned());
    }
    let parsed = Url::parse(url).map_err(|error| Unfit::Unsound(error.to_string()))?;
    if parsed.host_str().is_none_or(|host| host.contains(['{', '}'])) {
        return unsound("placeholders may stand in its path and query, not in its host".to_owned());
    }
    Ok(parsed.origin())
}
