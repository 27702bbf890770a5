//! Checks what documents claim about the code: the files, types, tests and error codes that they
//! name exist. It reads the sources as text; `docs` runs the commands of the same documents.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// The files below a folder whose names end with `extension`, but for what is built or installed.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules"].contains(&name.as_str()) && !name.starts_with('.') {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// The words between backticks of a document, without those in fenced blocks.
fn code_words(text: &str) -> BTreeSet<String> {
    let outside = text.split("```").step_by(2);
    let spans = outside.flat_map(|text| text.split('`').skip(1).step_by(2));
    spans.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// All Rust sources of `src` and `tests`, as one text.
fn sources() -> String {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "benches"] {
        files(&root().join(folder), "rs", &mut paths);
    }
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Each document with the words between its backticks.
fn documents() -> Vec<(String, BTreeSet<String>)> {
    let mut paths = Vec::new();
    files(root(), "md", &mut paths);
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), code_words(&fs::read_to_string(path).unwrap()))).collect()
}

#[test]
fn every_path_in_the_documents_leads_somewhere() {
    let folders = ["src/", "tests/", "benches/", "docs/", "docker/", "bench/"];
    let mut wrong = Vec::new();
    for (document, words) in documents() {
        for word in words {
            let path = word.trim_end_matches([',', '.', ';', ':', ')']);
            let is_pattern = path.contains(['<', '*', '{', '$']);
            let is_path = folders.iter().any(|folder| path.starts_with(folder));
            if is_path && !is_pattern && !root().join(path).exists() {
                wrong.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "documents name files that are not there: {wrong:#?}");
}

#[test]
fn every_type_in_the_glossary_exists() {
    let sources = sources();
    let defined = |name: &str| {
        ["struct", "enum", "trait", "type"].iter().any(|kind| {
            let definition = format!("{kind} {name}");
            sources.match_indices(&definition).any(|(at, _)| {
                let next = sources[at + definition.len()..].chars().next();
                next.is_some_and(|c| !c.is_alphanumeric() && c != '_')
            })
        })
    };
    let glossary = fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let is_type = |word: &&String| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_alphanumeric())
            && word.contains(|c: char| c.is_ascii_lowercase())
    };
    let words = code_words(&glossary);
    let keys = fs::read_to_string(root().join("config.yml.example")).unwrap();
    let types: Vec<_> =
        words.iter().filter(is_type).filter(|w| !keys.contains(&format!("{w}:"))).collect();
    assert!(types.len() > 20, "the glossary names its types in backticks: {types:?}");
    let missing: Vec<_> = types.into_iter().filter(|name| !defined(name)).collect();
    assert!(missing.is_empty(), "the glossary names types that are not there: {missing:?}");
}

#[test]
fn every_test_that_a_document_cites_exists() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (document, words) in documents() {
        // `module::name` cites the test by its module.
        let names = words.iter().map(|word| word.rsplit("::").next().unwrap_or_default());
        let is_test = |word: &&str| {
            word.matches('_').count() >= 3
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        for word in names.filter(is_test) {
            // Metrics are named so, too; a test of their own holds their table.
            if !word.starts_with("scheduler0_") && !sources.contains(word) {
                wrong.push(format!("{document}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "documents cite tests that are not there: {wrong:#?}");
}

/// The error codes in the sources: the literals at the places where a code is given.
fn error_codes() -> BTreeSet<String> {
    let mut paths = Vec::new();
    for folder in ["src/api", "src/app", "src/server"] {
        if root().join(folder).is_dir() {
            files(&root().join(folder), "rs", &mut paths);
        }
    }
    let mut codes = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_of_errors = path.file_stem().is_some_and(|stem| stem == "error");
        let is_of_table = path.file_stem().is_some_and(|stem| stem == "auth_error");
        for (at, _) in text.match_indices('"') {
            let (before, rest) = (text[..at].trim_end(), &text[at + 1..]);
            let literal = rest.split('"').next().unwrap_or_default();
            let status = before.strip_suffix(',').and_then(|b| b.rsplit(['(', ' ']).next());
            let after_status =
                status.is_some_and(|s| s.starts_with("StatusCode::") || s == "status");
            // The first of a tuple that an arm of a table of errors gives.
            let arm = before.strip_suffix('(').map(str::trim_end);
            let by_arm = is_of_table
                && arm.is_some_and(|arm| arm.trim_end_matches('{').trim_end().ends_with("=>"));
            let given = after_status
                || by_arm
                || before.ends_with("refusal(")
                || before.ends_with("code =")
                || (is_of_errors
                    && ["&str =", "=>", "code:"].iter().any(|end| before.ends_with(end)));
            let is_code =
                !literal.is_empty() && literal.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if given && is_code {
                codes.insert(literal.to_owned());
            }
        }
    }
    codes
}

#[test]
fn every_error_code_is_documented() {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<_> = rows.map(str::to_owned).collect();
    let codes = error_codes();
    assert!(codes.len() > 15, "the codes are not found where they are given: {codes:?}");
    assert_eq!(documented, codes, "docs/errors.md and the code have other codes");
}
