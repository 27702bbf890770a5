//! The dependency tree: allowed licences, crates.io as the only source, no OpenSSL, and no second
//! version of a large crate. It reads `Cargo.lock` and asks `cargo metadata`, without the network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Licences that need no more than the text beside the binary.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Crates that must not be in the tree: other TLS libraries, which need a C library or `CMake`.
const BANNED: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "boring", "native-tls", "openssl", "openssl-src", "openssl-sys"];

/// Crates whose second version would cost seconds of the build or megabytes of the binary.
const SINGLE: &[&str] = &[
    "axum",
    "chrono",
    "clap",
    "clap_builder",
    "hyper",
    "hyper-util",
    "jiff",
    "libsqlite3-sys",
    "openraft",
    "reqwest",
    "ring",
    "rusqlite",
    "rustix",
    "rustls",
    "rustls-webpki",
    "serde",
    "serde_core",
    "serde_json",
    "tokio",
    "tokio-rustls",
    "tracing-subscriber",
    "url",
];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The packages of `Cargo.lock`: name, version and source. Our own crate has no source.
fn locked() -> Vec<(String, String, Option<String>)> {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let blocks = text.split("[[package]]").skip(1);
    let package = |block: &str| {
        (value(block, "name").unwrap(), value(block, "version").unwrap(), value(block, "source"))
    };
    blocks.map(package).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The packages that are built on this platform.
fn metadata() -> Vec<Value> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", &platform])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = all["resolve"]["nodes"].as_array().unwrap();
    let built: BTreeSet<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    let packages = all["packages"].as_array().unwrap().iter();
    packages.filter(|package| built.contains(package["id"].as_str().unwrap())).cloned().collect()
}

/// True when an SPDX expression can be met with [`LICENCES`] alone. An older `/` means `OR`.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut part = expression.trim();
    // Each part of an AND must be allowed, and one part of an OR within it.
    let mut parts = Vec::new();
    while let Some((one, rest)) = split_and(part) {
        parts.push(one);
        part = rest;
    }
    parts.push(part);
    parts.iter().all(|part| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')');
        part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim()))
    })
}

/// Splits an expression at its first ` AND ` outside of parentheses.
fn split_and(expression: &str) -> Option<(&str, &str)> {
    expression.match_indices(" AND ").find_map(|(at, and)| {
        let before = &expression[..at];
        let open = before.matches('(').count() == before.matches(')').count();
        open.then(|| (before, &expression[at + and.len()..]))
    })
}

#[test]
fn all_licences_are_allowed() {
    let refused: Vec<String> = metadata()
        .iter()
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or("none")))
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "licences that are not allowed: {refused:#?}");
}

#[test]
fn crates_io_is_the_only_source_and_nothing_is_banned() {
    for (name, version, source) in locked() {
        let ours = name == env!("CARGO_PKG_NAME") && source.is_none();
        assert!(ours || source.as_deref() == Some(CRATES_IO), "{name} {version}: {source:?}");
        assert!(!BANNED.contains(&&*name), "{name} is banned");
    }
}

#[test]
fn no_large_crate_is_there_twice() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version, _) in locked() {
        versions.entry(name).or_default().push(version);
    }
    for name in SINGLE {
        let found =
            versions.get(*name).unwrap_or_else(|| panic!("{name} is no dependency any more"));
        assert_eq!(found.len(), 1, "{name} is there in several versions: {found:?}");
    }
}

#[test]
fn expressions_of_licences_are_understood() {
    for fine in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-2.0) AND Unicode-3.0"] {
        assert!(is_allowed(fine), "{fine}");
    }
    for refused in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND MPL-2.0", "none"] {
        assert!(!is_allowed(refused), "{refused}");
    }
}
