//! The rule on URLs that a login speaks to: https, or http to this machine alone. Pure.

use url::{Host, Url};

/// Reads the URL of an issuer or of an endpoint.
///
/// # Errors
///
/// A half sentence that says what is wrong with it.
pub(super) fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("{text:?} is no URL"))?;
    let is_sound = match url.scheme() {
        "https" => url.host_str().is_some(),
        "http" => is_loopback(&url),
        _ => false,
    };
    if !is_sound {
        return Err(format!("{text} must begin with https:// (http:// on this machine only)"));
    }
    Ok(url)
}

/// Returns whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_travel_encrypted_or_within_the_machine() {
        for fine in ["https://id.example.com/realms/a", "http://localhost:1/a", "http://[::1]/"] {
            assert_eq!(endpoint(fine).map(|url| url.to_string()).as_deref(), Ok(fine));
        }
        for wrong in [
            "http://id.example.com",
            "http://127.0.0.1.example.com",
            "ftp://a",
            "a",
            "javascript:x",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
