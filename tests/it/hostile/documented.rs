//! The table of attacks in docs/reliability.md: each row names an existing test.

#[test]
fn every_attack_of_the_table_has_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let (_, table) = text.split_once("## Attacks").unwrap();
    let (table, _) = table.split_once("\n### ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.contains("| before |"));
    let tests: Vec<&str> = rows.filter_map(|row| row.rsplit('`').nth(1)).collect();
    assert!(tests.len() >= 8, "{tests:?}");
    for test in tests {
        let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{test}: no file::test"));
        let file = root.join(format!("tests/it/hostile/{file}.rs"));
        let code = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{test}: {e}"));
        assert!(code.contains(&format!("async fn {name}()")), "{test} is not there");
    }
}
