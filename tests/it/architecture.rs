//! The rules of `CONTRIBUTING.md` that a program can check: every file says what it is, imports
//! only go down, and nothing unfinished lies about.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. A module may use its own floor's modules and those below, never one
/// above; modules of one floor are listed together because they may know each other.
const FLOORS: &[&[&str]] = &[
    &["model", "schedule", "clock", "config", "secret", "telemetry", "metrics", "disk", "listen"],
    &["store"],
    &["command"],
    &["journal", "executor"],
    &["raft", "peer"],
    &["cluster"],
    &["worker", "coordinator"],
    &["auth", "api"],
    &["server"],
    &["node"],
    &["cli"],
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&root.join(folder), &mut files);
    }
    files.sort();
    let name = |p: &PathBuf| p.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    files.iter().map(|p| (name(p), fs::read_to_string(p).unwrap())).collect()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The top-level module of a file: `src/store/jobs.rs` is `store`, `src/clock.rs` is `clock`.
fn module(file: &str) -> Option<&str> {
    let rest = file.strip_prefix("src/")?;
    Some(rest.split('/').next()?.trim_end_matches(".rs"))
}

#[test]
fn every_file_says_what_it_is() {
    let bare: Vec<_> = all_sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(file, _)| file)
        .collect();
    assert!(bare.is_empty(), "files without a //! head: {bare:?}");
}

#[test]
fn every_module_has_its_floor() {
    let homeless: Vec<_> = all_sources()
        .into_iter()
        .filter(|(file, _)| {
            module(file).is_some_and(|m| !["lib", "main"].contains(&m) && floor(m).is_none())
        })
        .map(|(file, _)| file)
        .collect();
    assert!(homeless.is_empty(), "name these modules' floor in this test: {homeless:?}");
}

#[test]
fn imports_only_go_down() {
    let mut wrong = Vec::new();
    for (file, text) in all_sources() {
        let Some(own) = module(&file).and_then(floor) else { continue };
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for used in line.split("crate::").skip(1) {
                let end = used.find(|c: char| !c.is_alphanumeric() && c != '_');
                let used = &used[..end.unwrap_or(used.len())];
                if floor(used).is_some_and(|below| below > own) {
                    wrong.push(format!("{file}:{} uses crate::{used}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that run up: {wrong:#?}");
}

#[test]
fn nothing_unfinished_lies_about() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimpl", "emented!"),
        concat!("to", "do!("),
    ];
    let mut found = Vec::new();
    for (file, text) in all_sources() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{file}:{}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "unfinished: {found:?}");
}
