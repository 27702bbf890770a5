//! The kinds of addresses: the special-purpose registries of IANA for IPv4 and IPv6 (RFC 6890, as
//! of 2025), and the forms in which an IPv6 address carries an IPv4 address. `guard` and
//! `member_guard` ask. Nothing here resolves a name or knows the configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Globally reachable, or not registered as special.
    Global,
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// Never a target, for this reason.
    Never(&'static str),
}

use Kind::{Global, Loopback, Never, Private};

const METADATA: Kind = Never("a cloud metadata service");
const MULTICAST: Kind = Never("a multicast address");
const DOCUMENTATION_V4: Kind = Never("for documentation only (RFC 5737)");

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// IPv4 ranges: first address, prefix length, kind. The first range that holds an address counts.
/// The metadata services of Alibaba, Oracle and Azure, and multicast, are added to the registry.
const V4: [(Ipv4Addr, u32, Kind); 24] = [
    (v4(100, 100, 100, 200), 32, METADATA),
    (v4(192, 0, 0, 192), 32, METADATA),
    (v4(168, 63, 129, 16), 32, METADATA),
    (v4(0, 0, 0, 0), 8, Never("unspecified: \"this network\" (RFC 791)")),
    (v4(10, 0, 0, 0), 8, Private),    // RFC 1918
    (v4(100, 64, 0, 0), 10, Private), // Shared, RFC 6598
    (v4(127, 0, 0, 0), 8, Loopback),  // RFC 1122
    (v4(169, 254, 0, 0), 16, Never("link-local (cloud metadata lives there, RFC 3927)")),
    (v4(172, 16, 0, 0), 12, Private), // RFC 1918
    (v4(192, 0, 0, 9), 32, Global),   // PCP anycast, RFC 7723
    (v4(192, 0, 0, 10), 32, Global),  // TURN anycast, RFC 8155
    (v4(192, 0, 0, 0), 24, Never("for IETF protocol assignments (RFC 6890)")),
    (v4(192, 0, 2, 0), 24, DOCUMENTATION_V4),
    (v4(192, 31, 196, 0), 24, Global), // AS112, RFC 7535
    (v4(192, 52, 193, 0), 24, Global), // AMT, RFC 7450
    (v4(192, 88, 99, 0), 24, Never("a 6to4 relay (RFC 7526)")),
    (v4(192, 168, 0, 0), 16, Private), // RFC 1918
    (v4(192, 175, 48, 0), 24, Global), // AS112, RFC 7534
    (v4(198, 18, 0, 0), 15, Never("for benchmarks of networks (RFC 2544)")),
    (v4(198, 51, 100, 0), 24, DOCUMENTATION_V4),
    (v4(203, 0, 113, 0), 24, DOCUMENTATION_V4),
    (v4(224, 0, 0, 0), 4, MULTICAST), // RFC 5771
    (v4(255, 255, 255, 255), 32, Never("broadcast (RFC 8190)")),
    (v4(240, 0, 0, 0), 4, Never("reserved (RFC 1112)")),
];

const fn v6(s: [u16; 8]) -> Ipv6Addr {
    Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7])
}

/// IPv6 ranges, as [`V4`]. Ranges that carry an IPv4 address and nothing else are [`Global`] here,
/// as [`embedded`] gives the address that they carry. The metadata services of AWS and Google,
/// deprecated site-local addresses and multicast are added to the registry.
const V6: [(Ipv6Addr, u32, Kind); 29] = [
    (v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0]), 32, METADATA),
    (v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0]), 32, METADATA),
    (v6([0, 0, 0, 0, 0, 0, 0, 1]), 128, Loopback), // RFC 4291
    (v6([0; 8]), 128, Never("unspecified (RFC 4291)")),
    (v6([0; 8]), 96, Global), // IPv4-compatible, RFC 4291
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0]), 96, Global), // IPv4-mapped, RFC 4291
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0]), 96, Global), // SIIT, RFC 2765
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0]), 96, Global), // NAT64, RFC 6052
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0]), 96, Private), // Local NAT64, RFC 8215
    (
        v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0]),
        48,
        Never("for a local NAT64 (RFC 8215), and does not say where the IPv4 address stands"),
    ),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0]), 64, Never("for packets to be dropped (RFC 6666)")),
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0]), 64, Never("a dummy prefix (RFC 9780)")),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0]), 32, Never("a Teredo address (RFC 4380)")),
    (v6([0x2001, 1, 0, 0, 0, 0, 0, 1]), 128, Global), // PCP anycast, RFC 7723
    (v6([0x2001, 1, 0, 0, 0, 0, 0, 2]), 128, Global), // TURN anycast, RFC 8155
    (v6([0x2001, 1, 0, 0, 0, 0, 0, 3]), 128, Global), // DNS-SD anycast, RFC 9665
    (v6([0x2001, 3, 0, 0, 0, 0, 0, 0]), 32, Global),  // AMT, RFC 7450
    (v6([0x2001, 4, 0x112, 0, 0, 0, 0, 0]), 48, Global), // AS112, RFC 7535
    (v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0]), 28, Global), // ORCHIDv2, RFC 7343
    (v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0]), 28, Global), // Drones, RFC 9374
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0]), 23, Never("for IETF protocol assignments (RFC 2928)")),
    (v6([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0]), 32, Never("for documentation only (RFC 3849)")),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0]), 16, Global), // 6to4, RFC 3056
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0]), 20, Never("for documentation only (RFC 9637)")),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0]), 16, Never("a segment identifier (RFC 9602)")),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0]), 7, Private), // RFC 4193
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10, Never("link-local (RFC 4291)")),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0]), 10, Private), // Site-local, RFC 3879
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0]), 8, MULTICAST), // RFC 4291
];

/// The kind of the range that an address is in.
pub(super) fn kind(ip: IpAddr) -> Kind {
    let found = match ip {
        IpAddr::V4(ip) => V4.iter().find_map(|(first, length, kind)| {
            let apart = first.to_bits() ^ ip.to_bits();
            (apart.leading_zeros() >= *length).then_some(*kind)
        }),
        IpAddr::V6(ip) => V6.iter().find_map(|(first, length, kind)| {
            let apart = first.to_bits() ^ ip.to_bits();
            (apart.leading_zeros() >= *length).then_some(*kind)
        }),
    };
    found.unwrap_or(Global)
}

/// The IPv4 address that an IPv6 address carries, if its form carries one.
pub(super) fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match s {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Teredo (RFC 4380): the address of the client, with all bits inverted.
        [0x2001, 0, _, _, _, _, high, low] => Some(of(!high, !low)),
        // In this order: IPv4-compatible and IPv4-mapped (RFC 4291); IPv4-translated of SIIT (RFC
        // 2765); NAT64 by the well-known prefix (RFC 6052), and by the local one (RFC 8215) as it
        // is mostly used; 6to4 (RFC 3056); ISATAP (RFC 5214), below any prefix.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0 | 1, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(of(high, low)),
        _ => None,
    }
}

/// Whether the form of an address names an IPv4 address to which its packets need not go: they are
/// routed by the prefix, which may be anybody's (Teredo, 6to4, ISATAP).
pub(super) fn is_tunnelled(ip: IpAddr) -> bool {
    let IpAddr::V6(ip) = ip else { return false };
    matches!(ip.segments(), [0x2001, 0, ..] | [0x2002, ..] | [_, _, _, _, 0 | 0x200, 0x5efe, _, _])
}

/// An address without the form that carries it: two addresses that lead to the same one come out
/// equal.
pub(super) fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => embedded(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}
