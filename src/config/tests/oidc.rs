//! The issuers of access tokens, in both forms.

use super::{load, load_with};
use crate::config::OidcIssuer;

const ISSUER: &str = "https://id.example.com/realms/simple-scheduler";

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn issuers_come_from_the_file_and_as_json_from_the_environment() {
    let file = format!(
        "
OidcIssuers:
  - Issuer: {ISSUER}
    Audiences: [scheduler0]
    Clients: simple-scheduler-cli
    ScopeClaims: [permissions]
    RoleClaims: [realm_access.roles]
    ClientId: simple-scheduler-cli
    AllowCluster: true
  - Issuer: http://localhost:8080/
    clients: [a, b]
"
    );
    let json = format!(
        r#"[{{"issuer": "{ISSUER}", "audiences": ["scheduler0"], "clients": ["simple-scheduler-cli"],
            "scope_claims": ["permissions"], "roleClaims": "realm_access.roles",
            "client_id": "simple-scheduler-cli", "allowCluster": true}},
           {{"Issuer": "http://localhost:8080/", "Clients": ["a", "b"]}}]"#
    );
    let first = OidcIssuer {
        issuer: ISSUER.to_owned(),
        audiences: texts(&["scheduler0"]),
        clients: texts(&["simple-scheduler-cli"]),
        scope_claims: texts(&["permissions"]),
        role_claims: texts(&["realm_access.roles"]),
        client_id: Some("simple-scheduler-cli".to_owned()),
        allow_cluster: true,
    };
    let second = OidcIssuer::new("http://localhost:8080/", Vec::new(), texts(&["a", "b"]));
    assert_eq!(second.scope_claims, ["scope", "scp"]);
    for config in
        [load(&file).unwrap(), load_with("", &[("SCHEDULER0_OIDC_ISSUERS", &json)], &[]).unwrap()]
    {
        assert_eq!(config.oidc_issuers, [first.clone(), second.clone()]);
    }
    assert_eq!(load("").unwrap().oidc_issuers, []);
}

#[test]
fn one_issuer_has_keys_of_its_own() {
    let file = format!("OidcIssuer: {ISSUER}\nOidcAudience: scheduler0\nOidcClientId: cli");
    let [one] = &load(&file).unwrap().oidc_issuers[..] else { panic!("one issuer") };
    assert_eq!(
        (&one.audiences[..], &one.clients[..]),
        (&texts(&["scheduler0"])[..], &texts(&["cli"])[..])
    );
    assert_eq!(one.client_id.as_deref(), Some("cli"));
    let both = format!("{file}\nOidcIssuers: [{{Issuer: 'https://b', Audiences: [x]}}]");
    let error = load(&both).unwrap_err().to_string();
    assert!(error.contains("OidcIssuers is set as well"), "{error}");
}

#[test]
fn an_issuer_of_simple_scheduler_is_taken_where_none_of_ours_is_set() {
    let foreign = ("SIMPLE_SCHEDULER_OIDC_ISSUER", ISSUER);
    let load = |file: &str| load_with(file, &[foreign], &[]).unwrap();
    let alone = load("");
    let [one] = &alone.oidc_issuers[..] else { panic!("one issuer") };
    assert_eq!(
        (one.issuer.as_str(), &one.clients[..]),
        (ISSUER, &texts(&["simple-scheduler-cli"])[..])
    );
    assert!(alone.warnings.concat().contains("OidcIssuer"), "{:?}", alone.warnings);
    let [one] = &load("OidcAudience: mine").oidc_issuers[..] else { panic!("one issuer") };
    assert_eq!((&one.audiences[..], &one.clients[..]), (&texts(&["mine"])[..], &[][..]));
    for own in [
        "OidcIssuer: https://own\nOidcAudience: a",
        "OidcIssuers: [{Issuer: 'https://own', Audiences: a}]",
    ] {
        let config = load(own);
        assert_eq!(config.oidc_issuers[0].issuer, "https://own");
        assert!(config.warnings.concat().contains("is ignored"), "{:?}", config.warnings);
    }
    let wrong = [("SIMPLE_SCHEDULER_OIDC_ISSUER", "id.example.com")];
    let error = load_with("", &wrong, &[]).unwrap_err().to_string();
    assert!(error.contains("SIMPLE_SCHEDULER_OIDC_ISSUER"), "{error}");
}

#[test]
fn what_is_wrong_with_an_issuer_is_said() {
    let entry = |fields: &str| format!("OidcIssuers: [{{{fields}}}]");
    let of = |issuer: &str| entry(&format!("Issuer: '{issuer}', Audiences: [a]"));
    for (file, part) in [
        (of("http://id.example.com"), "https URL of an issuer"),
        (of("https://u:p@id.example.com"), "https URL"),
        (of("https://id.example.com/?a=b"), "https URL"),
        (of("https://id.example.com/#a"), "https URL"),
        (of("id.example.com"), "https URL"),
        (of(""), "Issuer is missing"),
        (of(&format!("https://{}", "a".repeat(600))), "512 bytes"),
        (entry("Audiences: [a]"), "Issuer is missing"),
        (entry("Issuer: 'https://a'"), "set Audiences"),
        (entry("Issuer: 'https://a', Audiences: []"), "Clients"),
        (entry("Issuer: 'https://a', Audiences: [1]"), "Audiences: expected a list of texts"),
        (entry("Issuer: 'https://a', Audiences: ['']"), "Audiences"),
        (entry("Issuer: 'https://a', Audience: [a]"), "did you mean Audiences?"),
        (entry("Issuer: 'https://a', Audiences: [a], AllowCluster: maybe"), "true or false"),
        (entry("Issuer: 'https://a', Audiences: [a], ClientId: 7"), "ClientId: expected text"),
        ("OidcIssuers: [1]".to_owned(), "OidcIssuers[0]"),
        ("OidcIssuers: nonsense".to_owned(), "JSON array of issuers"),
        ("OidcIssuers: '{}'".to_owned(), "JSON array of issuers"),
        ("OidcIssuers: 7".to_owned(), "a list of issuers"),
        (
            entry("Issuer: 'https://a', Audiences: [a]}, {Issuer: 'https://a', Clients: [b]"),
            "https://a is there twice",
        ),
        ("OidcIssuer: https://a".to_owned(), "set OidcAudience"),
        ("OidcIssuer: ftp://a\nOidcAudience: a".to_owned(), "https URL"),
        ("OidcAudience: a".to_owned(), "OidcAudience"),
        ("OidcClientId: a".to_owned(), "belongs to OidcIssuer, which is not set"),
    ] {
        let error = load(&file).expect_err(&file).to_string();
        assert!(error.contains(part), "{file}: {error}");
    }
}

#[test]
fn keys_are_fetched_by_https_or_on_this_machine() {
    for fine in ["https://a/x?y", "http://localhost:1/x", "http://127.0.0.9/x", "http://[::1]:5/x"]
    {
        assert!(OidcIssuer::address(fine).is_some(), "{fine}");
    }
    for bad in [
        "http://a/",
        "http://localhost.evil/",
        "ftp://localhost/",
        "https://u@a/",
        "/x",
        "https://a/#x",
    ] {
        assert!(OidcIssuer::address(bad).is_none(), "{bad}");
    }
}
