//! The table of threats in docs/security.md: each row names tests that exist.

use std::fs;
use std::path::Path;

#[test]
fn every_threat_of_the_table_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (_, section) = text.split_once("\n## Threats\n").expect("a section Threats");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.contains("| actor"));
    let rows: Vec<&str> = rows.collect();
    assert!(rows.len() >= 18, "{}", rows.len());
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for test in named {
            let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{test}"));
            let folder = if file.starts_with("it/") { "tests" } else { "src" };
            let code = fs::read_to_string(root.join(folder).join(file));
            let code = code.unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(code.contains(&format!("fn {name}(")), "{test} is not there");
        }
    }
}
