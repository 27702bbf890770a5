//! The destination and the path of a URL, as limits and breakers know them, and its name for
//! people.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use url::Url;

use crate::delivery::destination::{Address, Destination};

/// The address of a URL as it is written, with placeholders or without. A text that is no URL is a
/// destination of its own.
pub fn address(text: &str) -> Address {
    let name = name(text).into();
    match Url::parse(text) {
        Ok(url) => Address { destination: destination(&url), path: path_hash(&url), name },
        Err(_) => Address { destination: Destination::new(text), path: 0, name },
    }
}

/// Host and port (where it is given) as they are written.
fn name(url: &str) -> &str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    &host[..host.find(['/', '?', '#']).unwrap_or(host.len())]
}

/// The destination of a URL: scheme, host and port.
fn destination(url: &Url) -> Destination {
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

    #[test]
    fn an_address_has_the_name_as_it_is_written() {
        let a = address("http://A.example/x/{{jobId}}?y#z");
        assert_eq!((a.destination.as_str(), &*a.name), ("http://a.example:80", "A.example"));
        assert_ne!(a.path, address("http://a.example/x").path);
        let none = address("nowhere");
        assert_eq!((none.destination.as_str(), &*none.name, none.path), ("nowhere", "nowhere", 0));
    }
}
