//! The index of behaviours in `tests/README.md`: a row for each test file, with the first sentence
//! of its head. `SCHEDULER0_WRITE_INDEX=1 cargo test --test it index` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The begin of the index, which reaches to the end of the page.
const HEADER: &str = "| behaviour | file |\n|---|---|\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, sorted by path.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The first sentence of a file's head.
fn first_sentence(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
    let head = lines.collect::<Vec<_>>().join(" ");
    let end = head.find(". ").map_or(head.len(), |at| at + 1);
    head[..end].trim_end_matches('.').to_owned()
}

/// True for a file that has tests, in its own code or by a macro.
fn has_tests(text: &str) -> bool {
    ["#[test]", "#[tokio::test", "fn main()"].iter().any(|mark| text.contains(mark))
}

fn index() -> String {
    let mut rows = String::new();
    for path in files(&root().join("tests")) {
        let text = fs::read_to_string(&path).unwrap();
        if has_tests(&text) {
            let name = path.strip_prefix(root().join("tests")).unwrap().display().to_string();
            let sentence = first_sentence(&text).replace('|', "\\|");
            writeln!(rows, "| {sentence} | [`{name}`]({name}) |").unwrap();
        }
    }
    rows
}

#[test]
fn the_index_of_behaviours_is_that_of_the_heads() {
    let path = root().join("tests/README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, found) = text.split_once(HEADER).expect("the header of the index");
    let wanted = index();
    if std::env::var_os("SCHEDULER0_WRITE_INDEX").is_some() {
        fs::write(&path, format!("{before}{HEADER}{wanted}")).unwrap();
        return;
    }
    for (found, wanted) in found.lines().zip(wanted.lines()) {
        assert_eq!(found, wanted, "write it anew: see tests/it/index.rs");
    }
    assert_eq!(
        found.lines().count(),
        wanted.lines().count(),
        "write it anew: see tests/it/index.rs"
    );
}
