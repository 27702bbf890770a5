//! The URL of a target: checked for its form, its placeholders, and whether this node calls it.

use url::{Origin, Url};

use crate::app::error::Error;
use crate::app::targets::http::placeholders::check_placeholders;
use crate::executor::guard::TargetGuard;

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
    let bad = |why| Error::invalid(field, format!("{field} is not valid: {why}"));
    address(url, guard).map_err(bad)
}

/// The origin of a URL that this node may call, or the reason why it may not. `check_url` and
/// callbacks use it.
pub(crate) fn address(url: &str, guard: &TargetGuard) -> Result<Origin, String> {
    if url.len() > LONGEST_URL {
        return Err(format!("it has more than {LONGEST_URL} bytes"));
    }
    guard.check_url(url).map_err(|error| error.to_string())?;
    if url.contains(char::is_whitespace) {
        let why = "it has spaces in it: encode them as %20";
        return Err(why.to_owned());
    }
    let parsed = Url::parse(url).map_err(|error| error.to_string())?;
    if parsed.host_str().is_none_or(|host| host.contains(['{', '}'])) {
        return Err("placeholders may stand in its path and query, not in its host".to_owned());
    }
    Ok(parsed.origin())
}
