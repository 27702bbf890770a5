//! What patterns name, and which texts are none.

use super::*;

fn pattern(text: &str) -> TargetPattern {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn names(text: &str, url: &str) -> bool {
    let url = url::Url::parse(url).unwrap();
    let port = url.port_or_known_default().unwrap();
    let host = url.host().unwrap();
    pattern(text).names(Target { scheme: url.scheme(), host: &host, port })
}

#[test]
fn a_wildcard_names_what_is_below_a_name_and_nothing_that_only_ends_like_it() {
    const BELOW: &str = "https://*.example.com:443";
    for url in [
        "https://a.example.com/",
        "https://a.b.example.com/",
        "https://A.EXAMPLE.com./x?y",
        "https://xn--a-1ga.example.com/",
    ] {
        assert!(names(BELOW, url), "{url}");
    }
    for url in [
        "https://example.com/",
        "https://evilexample.com/",
        "https://a.evilexample.com/",
        "https://a.example.com.evil.org/",
        "https://example.com.evil.org/",
        "https://a-example.com/",
        "https://a.example.co/",
        "https://a.example.com:8443/",
        "http://a.example.com:443/",
        "https://a.example.com@evil.org/",
        "https://evil.org/.example.com",
        "https://evil.org/?.example.com:443",
        "https://evil.org#.example.com",
        "https://10.0.0.1/",
    ] {
        assert!(!names(BELOW, url), "{url}");
    }
}

#[test]
fn a_pattern_names_hosts_addresses_and_ports() {
    for (text, url, expected) in [
        ("build:8000-8999", "http://build:8000/", true),
        ("build:8000-8999", "https://BUILD.:8999/", true),
        ("build:8000-8999", "http://build:9000/", false),
        ("build:8000-8999", "http://abuild:8000/", false),
        ("build:*", "http://build/", true),
        ("http://build", "http://build/", true),
        ("http://build", "http://build:8080/", false),
        ("https://build", "http://build:443/", false),
        ("10.0.0.0/8:443", "https://10.255.1.1/", true),
        ("10.0.0.0/8:443", "https://11.0.0.1/", false),
        ("10.0.0.0/8:443", "https://0xa000001/", true),
        ("10.0.0.0/8:443", "https://012.0.0.1/", true),
        ("10.0.0.0/8:443", "https://167772161/", true),
        ("10.0.0.0/8:443", "https://[::ffff:10.0.0.1]/", true),
        ("10.0.0.0/8:443", "https://ten.example/", false),
        ("127.0.0.1:3000", "http://127.1:3000/", true),
        ("0x7f.1:3000", "http://127.0.0.1:3000/", true),
        ("[fd00::/8]:*", "http://[fd12::1]:1234/", true),
        ("[fd00::/8]:*", "http://[fe80::1]:1234/", false),
        ("[::1]:80", "http://[::1]/", true),
    ] {
        assert_eq!(names(text, url), expected, "{text} {url}");
    }
    assert!(pattern("amqps://mq").is_for("amqps", 5_671));
    assert!(!pattern("amqps://mq").is_for("amqp", 5_671));
}

#[test]
fn a_pattern_is_shown_as_it_is_read() {
    for (given, shown) in [
        ("HTTPS://*.Example.COM.", "https://*.example.com:443"),
        ("build:8000-8000", "build:8000"),
        ("b\u{fc}cher.example:*", "xn--bcher-kva.example:*"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("10.0.0.0/8:1-65535", "10.0.0.0/8:*"),
        ("amqp://[2001:db8::/32]", "amqp://[2001:db8::/32]:5672"),
    ] {
        let read = pattern(given);
        assert_eq!(read.to_string(), shown);
        assert_eq!(pattern(shown), read);
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<TargetPattern>(&json).unwrap(), read);
    }
}

#[test]
fn a_text_that_is_no_pattern_is_refused_with_the_fix() {
    for (text, part) in [
        ("", "neither a name nor an address"),
        ("example.com", "name the port"),
        ("*", "a * stands"),
        ("*:443", "a * stands"),
        ("a.*.example.com:443", "a * stands"),
        ("*example.com:443", "a * stands"),
        ("*.10.0.0.1:443", "a * stands"),
        ("*.:443", "neither a name"),
        ("ftp://example.com", "its scheme"),
        ("https://user@example.com", "nothing else"),
        ("https://example.com/", "no network"),
        ("https://example.com/path", "no network"),
        ("example.com:0", "its ports"),
        ("example.com:+443", "its ports"),
        ("example.com:65536", "its ports"),
        ("example.com:9-8", "its ports"),
        ("example.com:", "its ports"),
        ("10.0.0.1/8:443", "no bits"),
        ("10.0.0.0/33:443", "no network"),
        ("::1:443", "in brackets"),
        ("[::1:443", "without its ]"),
        ("[::1]443", "behind the ]"),
        ("[10.0.0.1]:443", "brackets are for IPv6"),
        ("a b:443", "nothing else"),
        ("example.com\n:443", "nothing else"),
    ] {
        let error = text.parse::<TargetPattern>().unwrap_err().to_string();
        assert!(error.contains(part), "{text:?}: {error}");
    }
    assert!("a".repeat(LONGEST_PATTERN + 1).parse::<TargetPattern>().is_err());
}
