//! Checks the rules of `CONTRIBUTING.md` that a program can check: imports only go down the layers,
//! no files refer to each other in a circle, files and comments stay short, and the documents that
//! a comment names exist.
//!
//! The faults of today are listed in `architecture/known`, a file for each check that still needs
//! one. **The lists only shrink**: no line is added to them, and a change that mends a file takes
//! its lines off. A line that is no longer true fails, too. To see the lines that still are:
//! `cargo test --test it -- architecture --nocapture`.

mod graph;
mod lex;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use graph::{Graph, circles};
use lex::lex;

/// The layers, lowest first. A module may use the modules of its own layer and of those below.
const LAYERS: &[&[&str]] = &[
    &["model", "schedule"],
    &["config", "secret", "tls", "clock", "metrics", "telemetry", "disk", "listen"],
    &["journal", "store"],
    &["command"],
    &["delivery", "executor", "bus"],
    &["raft", "peer"],
    &["cluster"],
    &["coordinator", "worker", "gateway", "events"],
    &["auth", "app"],
    &["server", "api", "ui"],
    &["node"],
    &["cli"],
    &["main"],
];

/// Imports that a module must not have though they are of a lower layer: the module, and the first
/// segments of the paths.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("api", &["store", "command", "raft"]),
    ("ui", &["store", "command", "raft"]),
    ("app", &["axum", "api"]),
];

const MAX_LINES: usize = 400;
const MAX_COMMENT_WIDTH: usize = 100;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn find_sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every Rust file of the repository with its text, named from the root.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        find_sources(&root().join(folder), &mut files);
    }
    files.sort();
    let name = |p: &PathBuf| p.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    files.iter().map(|p| (name(p), fs::read_to_string(p).unwrap())).collect()
}

/// Compares the faults found with the list of those that are known, and fails on a new one.
fn compare(list: &str, found: &BTreeSet<String>) {
    let path = root().join("tests/it/architecture/known").join(list);
    let known = fs::read_to_string(&path).unwrap_or_default();
    let known: BTreeSet<_> = known.lines().map(str::to_owned).collect();
    let stale: Vec<_> = known.difference(found).collect();
    if !stale.is_empty() {
        let left: Vec<_> = known.intersection(found).map(String::as_str).collect();
        let left = left.join("\n");
        println!("take these off known/{list}: {stale:#?}\nthese stay:\n{left}");
    }
    assert!(stale.is_empty(), "stale lines in known/{list}: {stale:#?}");
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "against the rules, and not in known/{list}: {new:#?}");
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The top-level module of a file: `src/store/mod.rs` is `store`, `src/clock.rs` is `clock`.
fn module(file: &str) -> Option<&str> {
    let module = file.strip_prefix("src/")?.split('/').next()?;
    Some(module.strip_suffix(".rs").unwrap_or(module)).filter(|m| *m != "lib")
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(f, _)| f)
        .collect();
    assert!(silent.is_empty(), "files without a //! head: {silent:?}");
}

#[test]
fn every_module_has_its_layer() {
    let sources = sources();
    let unplaced: BTreeSet<_> =
        sources.iter().filter_map(|(f, _)| module(f)).filter(|m| layer(m).is_none()).collect();
    assert!(unplaced.is_empty(), "name the layer of these modules in this test: {unplaced:?}");
}

#[test]
fn imports_go_down_the_layers() {
    let sources = sources();
    let mut found = BTreeSet::new();
    for (file, paths) in Graph::new(&sources).named_paths() {
        let Some(own) = module(file).and_then(layer) else { continue };
        for used in paths.iter().filter_map(|path| path.first()) {
            if layer(used).is_some_and(|other| other > own) {
                found.insert(format!("{file} -> {used}"));
            }
        }
    }
    compare("upward.txt", &found);
}

#[test]
fn what_only_translates_imports_no_state() {
    let sources = sources();
    let graph = Graph::new(&sources);
    let mut found = BTreeSet::new();
    for (file, heads) in graph.heads() {
        for (_, forbidden) in FORBIDDEN.iter().filter(|(own, _)| module(file) == Some(own)) {
            for used in heads.iter().filter(|head| forbidden.contains(&head.as_str())) {
                found.insert(format!("{file} -> {used}"));
            }
        }
    }
    compare("forbidden.txt", &found);
}

#[test]
fn the_worker_knows_no_kind_of_target() {
    let sources = sources();
    let graph = Graph::new(&sources);
    let kinds = ["executor", "reqwest", "hyper", "http", "url"];
    let mut found = BTreeSet::new();
    // Its tests have a receiver, which reads requests of the HTTP kind.
    let of_worker = |file: &str| module(file) == Some("worker") && !file.contains("/tests/");
    for (file, heads) in graph.heads().into_iter().filter(|(file, _)| of_worker(file)) {
        for used in heads.iter().filter(|head| kinds.contains(&head.as_str())) {
            found.insert(format!("{file} -> {used}"));
        }
    }
    assert!(found.is_empty(), "the worker knows executors through `delivery` only: {found:?}");
}

#[test]
fn no_files_refer_to_each_other_in_a_circle() {
    let sources = sources();
    let graph = Graph::new(&sources);
    let uses = graph.uses();
    let circles = circles(&uses);
    let found = circles.iter().flatten().map(|&file| file.to_owned()).collect();
    for circle in circles {
        for file in &circle {
            let within: Vec<_> = uses[file].intersection(&circle).collect();
            println!("{file} uses {within:?}");
        }
        println!();
    }
    compare("circular.txt", &found);
}

#[test]
fn no_modules_refer_to_each_other_in_a_circle() {
    let sources = sources();
    let graph = Graph::new(&sources);
    let mut uses = BTreeMap::<_, BTreeSet<_>>::new();
    for (file, used) in graph.uses() {
        let is_tests = file.contains("/tests/") || file.ends_with("tests.rs");
        let Some(own) = module(file).filter(|_| !is_tests) else { continue };
        let others = used.into_iter().filter_map(module).filter(|other| *other != own);
        uses.entry(own).or_default().extend(others);
    }
    let found = circles(&uses).iter().flatten().map(|&module| module.to_owned()).collect();
    compare("circular_modules.txt", &found);
}

#[test]
fn no_file_is_too_long() {
    let long = |(_, text): &(String, String)| text.lines().count() > MAX_LINES;
    let found = sources().into_iter().filter(long).map(|(file, _)| file).collect();
    compare("long_files.txt", &found);
}

#[test]
fn no_comment_is_too_wide() {
    let mut found = BTreeSet::new();
    for (file, text) in sources() {
        for comment in lex(&text).1.iter().filter(|c| c.width > MAX_COMMENT_WIDTH) {
            println!("{file}:{} is {} columns wide", comment.line, comment.width);
            found.insert(file.clone());
        }
    }
    compare("wide_comments.txt", &found);
}

/// Says whether a word of a comment names a file or a folder that is not there. Documents are
/// sought at the root and in the folders from the file's up; paths begin with a folder of the root.
fn dangles(file: &str, word: &str) -> bool {
    let folders = ["src/", "tests/", "docs/", "benches/", "docker/"];
    let is_path = folders.iter().any(|folder| word.starts_with(folder));
    let is_document = word.strip_suffix(".md").is_some_and(|name| !name.is_empty());
    if !is_path && !is_document {
        return false;
    }
    let mut beside = Path::new(file).ancestors().skip(1);
    !beside.any(|folder| root().join(folder).join(word).exists())
}

#[test]
fn every_reference_to_a_document_leads_somewhere() {
    let mut found = BTreeSet::new();
    for (file, text) in sources() {
        for comment in lex(&text).1 {
            let part = |c: char| c.is_alphanumeric() || "_-./".contains(c);
            for word in comment.text.split(|c| !part(c)) {
                let word = word.trim_end_matches(['.', '/']);
                if dangles(&file, word) {
                    found.insert(format!("{file}: {word}"));
                }
            }
        }
    }
    compare("dangling.txt", &found);
}

#[test]
fn nothing_is_unfinished() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimpl", "emented!"),
        concat!("to", "do!("),
    ];
    let mut found = Vec::new();
    for (file, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{file}:{}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "unfinished: {found:?}");
}

#[test]
fn the_graph_sees_circles_and_not_re_exports() {
    let file = |name: &str, text: &str| (format!("src/{name}.rs"), text.to_owned());
    let sources = [
        file("lib", "mod a; mod b;"),
        // Hands on its child's type and holds a constant: no circle with the child.
        file("a/mod", "mod thing; mod other; pub use thing::Thing; pub const BOUND: usize = 1;"),
        file("a/thing", "use super::BOUND; pub struct Thing; // uses crate::b::run"),
        // Reaches `thing` through the re-export, and `b` in a path; `b` comes back.
        file(
            "a/other",
            "use super::{Thing as Other}; fn go() -> Other { crate::b::run::<u8>(\"{\") }",
        ),
        file("b", "mod inner { use super::*; } use crate::a::other; fn run() { other::go() }"),
    ];
    let graph = Graph::new(&sources);
    let uses = graph.uses();
    assert!(uses["src/a/mod.rs"].is_empty() && uses["src/a/thing.rs"].is_empty(), "{uses:?}");
    assert_eq!(uses["src/a/other.rs"], BTreeSet::from(["src/a/thing.rs", "src/b.rs"]));
    assert_eq!(circles(&uses), [BTreeSet::from(["src/a/other.rs", "src/b.rs"])]);
}
