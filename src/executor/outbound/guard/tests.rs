//! The URLs and addresses that are refused, in every spelling.

use std::net::Ipv4Addr;

use super::*;

/// A guard that allows neither this machine nor private networks.
fn strict() -> TargetGuard {
    TargetGuard { allow_loopback: false, allow_private: false, ..TargetGuard::default() }
}

#[test]
fn urls_are_judged_by_scheme_host_and_address() {
    let guard = TargetGuard::default();
    for ok in [
        "http://127.0.0.1:3000/callback",
        "https://example.com/a?b=c",
        "http://[::1]:80/",
        "http://10.1.2.3/",
        "http://8.8.8.8",
        "http://localhost:3000/callback",
        "http://[::ffff:10.0.0.1]/",
    ] {
        assert_eq!(guard.check_url(ok), Ok(()), "{ok}");
    }
    for bad in [
        "http://169.254.169.254/latest/meta-data",
        "http://0xa9fea9fe/",
        "http://2852039166/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[fd20:ce::254]/",
        "http://100.100.100.200/",
        "http://METADATA.google.internal./computeMetadata",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://224.0.0.1/",
        "http://[ff02::1]/",
        "http://255.255.255.255/",
        "http://user:secret@example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "mailto:a@b.c",
        "http://localhost:0/",
        " http://localhost/",
        "http://localhost/\u{a0}",
        "http://local\thost/",
        "http://localhost/\r\nX: y",
        "http://localhost/\u{0}",
        "/callback",
        "http://",
        "",
    ] {
        assert!(guard.check_url(bad).is_err(), "{bad}");
    }
}

#[test]
fn loopback_and_private_ranges_can_be_refused() {
    let guard = strict();
    for bad in [
        "http://127.8.8.8/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://192.168.0.1/",
        "http://172.16.0.1/",
        "http://100.64.0.1/",
        "http://[fc00::1]/",
    ] {
        assert!(matches!(guard.check_url(bad), Err(Error::Address(..))), "{bad}");
    }
    assert_eq!(guard.check_url("http://172.32.0.1/"), Ok(()));
}

#[test]
fn an_error_shows_no_secret_of_the_url() {
    let guard = TargetGuard::default();
    for url in ["http://u:hunter2@example.com/", "http://169.254.1.1/?key=hunter2", "x:hunter2"] {
        let message = guard.check_url(url).unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// The first and the last address of each special range that is never a target, in any mode.
const NEVER: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("192.0.0.0", "192.0.0.8"),
    ("192.0.0.11", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
    ("100.100.100.200", "100.100.100.200"),
    ("168.63.129.16", "168.63.129.16"),
    ("::", "::"),
    ("64:ff9b:1::1:0:0", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:1::", "2001:1::"),
    ("2001:1::4", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:2::", "2001:2:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:4::", "2001:4:111:ffff:ffff:ffff:ffff:ffff"),
    ("2001:4:113::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fd00:ec2::", "fd00:ec2:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fd20:ce::", "fd20:ce:ffff:ffff:ffff:ffff:ffff:ffff"),
];

/// The first and the last address of each range that the mode decides about.
const BY_MODE: &[(&str, &str)] = &[
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.100.100.199"),
    ("100.100.100.201", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("::1", "::1"),
    ("fc00::", "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fd00:ec3::", "fd20:cd:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

/// Addresses beside those ranges, and the exceptions within them.
const GLOBAL: &[&str] = &[
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.1.0",
    "192.0.3.0",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "192.175.48.1",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "203.0.114.0",
    "223.255.255.255",
    "2001:1::1",
    "2001:1::2",
    "2001:1::3",
    "2001:3::1",
    "2001:4:112::1",
    "2001:20::1",
    "2001:2f:ffff::",
    "2001:30::1",
    "2001:200::",
    "2001:4860:4860::8888",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2606:4700:4700::1111",
    "2620:4f:8000::1",
    "3ffe::1",
    "3fff:1000::1",
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Every form in which an IPv6 address carries an IPv4 address, with its name.
fn carried(v4: Ipv4Addr) -> Vec<(&'static str, IpAddr)> {
    let (high, low) = ((v4.to_bits() >> 16) as u16, v4.to_bits() as u16);
    let form = |s: [u16; 8]| IpAddr::from(s);
    vec![
        ("mapped", form([0, 0, 0, 0, 0, 0xffff, high, low])),
        ("compatible", form([0, 0, 0, 0, 0, 0, high, low])),
        ("SIIT", form([0, 0, 0, 0, 0xffff, 0, high, low])),
        ("NAT64", form([0x64, 0xff9b, 0, 0, 0, 0, high, low])),
        ("local NAT64", form([0x64, 0xff9b, 1, 0, 0, 0, high, low])),
        ("6to4", form([0x2002, high, low, 1, 2, 3, 4, 5])),
        ("Teredo", form([0x2001, 0, 0x0808, 0x0808, 0, 0xffff, !high, !low])),
        ("ISATAP", form([0x2606, 0x4700, 1, 2, 0, 0x5efe, high, low])),
        ("ISATAP, unique", form([0x2606, 0x4700, 1, 2, 0x200, 0x5efe, high, low])),
    ]
}

#[test]
fn every_special_range_is_refused_to_its_last_address() {
    let open = TargetGuard::default();
    for (first, last) in NEVER {
        for text in [first, last] {
            assert!(open.check_address(ip(text)).is_err(), "{text}");
            assert!(strict().check_address(ip(text)).is_err(), "{text}");
        }
    }
    for (first, last) in BY_MODE {
        for text in [first, last] {
            assert_eq!(open.check_address(ip(text)), Ok(()), "{text}");
            assert!(strict().check_address(ip(text)).is_err(), "{text}");
        }
    }
    for text in GLOBAL {
        assert_eq!(strict().check_address(ip(text)), Ok(()), "{text}");
    }
}

#[test]
fn an_address_that_carries_another_is_judged_by_that_one_too() {
    let open = TargetGuard::default();
    let v4 = |text: &&str| text.parse::<Ipv4Addr>().ok();
    for inner in NEVER.iter().map(|(first, _)| first).filter_map(v4) {
        for (form, ip) in carried(inner) {
            // The IPv4-compatible form of 0.0.0.0 is `::`, which is refused itself.
            assert!(open.check_address(ip).is_err(), "{form}: {inner} as {ip}");
        }
    }
    for inner in BY_MODE.iter().map(|(first, _)| first).filter_map(v4) {
        for (form, ip) in carried(inner) {
            let allowed = open.check_address(ip).is_ok();
            assert_eq!(allowed, form != "Teredo", "{form}: {inner} as {ip}");
            assert!(strict().check_address(ip).is_err(), "{form}: {inner} as {ip}");
        }
    }
    for (form, ip) in carried(Ipv4Addr::new(9, 9, 9, 9)) {
        let expected = !["Teredo", "local NAT64"].contains(&form);
        assert_eq!(strict().check_address(ip).is_ok(), expected, "{form}: {ip}");
    }
}

#[test]
fn every_spelling_of_an_address_is_that_address() {
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://0x7F.0x0.0x0.0x1/",
        "http://127.0.0.1./",
        "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
        "http://127\u{3002}0\u{3002}0\u{3002}1/",
        "http://\u{2460}27.0.0.1/",
        "http://%31%32%37.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http:127.0.0.1",
        "http:/127.0.0.1",
        "HTTP://127.0.0.1",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::127.0.0.1]/",
        "http://[::7f00:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:0:127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[64:ff9b:1::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2606:4700::5efe:127.0.0.1]/",
    ] {
        let refused = strict().check_url(url).unwrap_err();
        assert!(matches!(refused, Error::Address(..)), "{url}: {refused}");
    }
}

#[test]
fn a_members_raft_port_is_refused_in_every_mode() {
    let members = Arc::new(RaftAddresses::new(["node2:7070", "127.0.0.1:7071"]));
    let guard = TargetGuard { members, ..TargetGuard::default() };
    for bad in
        ["http://node2:7070/", "http://NODE2.:7070/", "http://localhost:7071", "http://127.1:7071"]
    {
        assert_eq!(guard.check_url(bad), Err(Error::Member), "{bad}");
    }
    for ok in ["http://node2:7071/", "http://localhost:7070", "http://127.0.0.1:9091/"] {
        assert_eq!(guard.check_url(ok), Ok(()), "{ok}");
    }
}
