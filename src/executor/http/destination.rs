//! The destination and the path of a URL, as limits and breakers know them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use url::Url;

use crate::delivery::destination::Destination;

/// The destination of a URL: scheme, host and port.
pub fn destination(url: &Url) -> Destination {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    Destination::new(format!("{}://{host}:{port}", url.scheme()))
}

/// A hash of the path of a URL.
pub(super) fn path_hash(url: &Url) -> u64 {
    let mut hash = DefaultHasher::new();
    url.path().hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_scheme_host_and_port() {
        let of = |u: &str| destination(&Url::parse(u).expect("a URL"));
        assert_eq!(of("http://u:p@a.example/x?y=z").as_str(), "http://a.example:80");
        assert_eq!(of("https://a.example:8443/").as_str(), "https://a.example:8443");
        assert_ne!(of("http://a.example/"), of("https://a.example/"));
    }
}
