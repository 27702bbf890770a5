//! Tests of `TargetPolicy` and `AllowedTargets`.

use super::*;

fn shown(config: &Config) -> Vec<String> {
    config.allowed_targets.iter().map(ToString::to_string).collect()
}

#[test]
fn targets_are_read_from_the_file_and_from_the_environment() {
    let c = load("").unwrap();
    assert_eq!((c.target_policy, shown(&c).len()), (TargetPolicy::Open, 0));
    let c = load("TargetPolicy: PUBLIC").unwrap();
    assert_eq!((c.target_policy, shown(&c).len()), (TargetPolicy::Public, 0));
    let file = "TargetPolicy: list\nAllowedTargets: ['https://*.a.example', '10.0.0.0/8:443']";
    let c = load(file).unwrap();
    assert_eq!(c.target_policy, TargetPolicy::List);
    assert_eq!(shown(&c), ["https://*.a.example:443", "10.0.0.0/8:443"]);
    for text in [
        r#"["https://*.a.example", "[fd00::/8]:*"]"#,
        "https://*.a.example, [fd00::/8]:*, https://*.a.example:443",
    ] {
        let env = [("SCHEDULER0_TARGET_POLICY", "public"), ("SCHEDULER0_ALLOWED_TARGETS", text)];
        let c = load_with("", &env, &[]).unwrap();
        assert_eq!(shown(&c), ["https://*.a.example:443", "[fd00::/8]:*"], "{text}");
    }
    let env = [("SCHEDULER0_ALLOWED_TARGETS", "[fd00::/8]:443")];
    assert_eq!(shown(&load_with("TargetPolicy: list", &env, &[]).unwrap()), ["[fd00::/8]:443"]);
}

#[test]
fn an_error_names_the_key_and_the_fix() {
    for (file, part) in [
        ("TargetPolicy: closed", "expected open, public or list"),
        ("TargetPolicy: list", "AllowedTargets is empty"),
        ("AllowedTargets: ['a:1']", "set TargetPolicy to public or list"),
        ("TargetPolicy: list\nAllowedTargets: [a.example]", "AllowedTargets[0]"),
        ("TargetPolicy: list\nAllowedTargets: ['a:1', '*:1']", "AllowedTargets[1]"),
        ("TargetPolicy: list\nAllowedTargets: [1]", "expected a text"),
        ("TargetPolicy: list\nAllowedTargets: {a: 1}", "a list of targets"),
        ("TargetPolicy: list\nAllowedTargets: '[a:1]'", "JSON array"),
    ] {
        let error = load(file).unwrap_err().to_string();
        assert!(error.contains(part), "{file}: {error}");
    }
}
