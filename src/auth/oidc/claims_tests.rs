//! Each rule about claims, with a token that only that rule refuses.

use serde_json::json;

use super::*;

const NOW: Millis = 1_800_000_000_000;
const SECONDS: i64 = NOW / 1_000;

fn issuer() -> OidcIssuer {
    let own = |text: &str| vec![text.to_owned()];
    OidcIssuer::new("https://id.example.com", own("scheduler0"), own("cli"))
}

/// The claims of a good token, with these changed; `null` takes a claim off.
fn claims(changes: Value) -> Claims {
    let mut claims = json!({
        "iss": "https://id.example.com", "sub": "f:1", "aud": ["account", "scheduler0"],
        "exp": SECONDS + 60, "scope": "openid jobs:read runs:write", "typ": "Bearer",
    });
    let fields = claims.as_object_mut().unwrap();
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    fields.extend(changes);
    fields.retain(|_, value| !value.is_null());
    fields.clone()
}

fn read(changes: Value) -> Result<TokenCaller, TokenError> {
    caller(&claims(changes), &issuer(), NOW)
}

#[test]
fn a_good_token_names_its_caller() {
    let known = read(json!({"preferred_username": "ann\u{7}\n"})).unwrap();
    assert_eq!((known.issuer.as_str(), known.subject.as_str()), ("https://id.example.com", "f:1"));
    assert_eq!((known.name.as_str(), known.expires), ("ann", NOW + 60_000));
    assert_eq!(known.scopes.to_string(), "jobs:read, runs:write");
    assert_eq!(read(json!({})).unwrap().name, "f:1");
    let long = read(json!({"name": "ä".repeat(100)})).unwrap().name;
    assert_eq!(long, "ä".repeat(64));
}

#[test]
fn each_claim_is_checked() {
    for (changes, part) in [
        (json!({"exp": null}), "exp is missing"),
        (json!({"exp": "1900000000"}), "exp is no number"),
        (json!({"exp": -1}), "exp is no number"),
        (json!({"exp": SECONDS - 30}), "expired"),
        (json!({"nbf": SECONDS + 31}), "not valid yet"),
        (json!({"nbf": "0"}), "nbf is no number"),
        (json!({"sub": null}), "sub is missing"),
        (json!({"sub": ""}), "sub is missing"),
        (json!({"sub": 7}), "sub is missing"),
        (json!({"sub": "s".repeat(256)}), "sub is missing"),
        (json!({"aud": null}), "another service"),
        (json!({"aud": "account"}), "another service"),
        (json!({"aud": "scheduler0 account"}), "another service"),
        (json!({"aud": []}), "another service"),
        (json!({"aud": ["scheduler0", 7]}), "aud is neither"),
        (json!({"aud": {"scheduler0": true}}), "aud is neither"),
        (json!({"aud": "account", "azp": "other", "client_id": "cli"}), "another client"),
        (json!({"aud": "account", "azp": ["cli"]}), "another client"),
        (json!({"scope": 7}), "claim of scopes"),
        (json!({"scope": ["jobs:read", 7]}), "claim of scopes"),
    ] {
        let error = read(changes.clone()).unwrap_err();
        assert!(matches!(error, TokenError::Claims(_)), "{changes}: {error:?}");
        assert!(error.to_string().contains(part), "{changes}: {error}");
    }
    for kind in [
        json!({"typ": "ID"}),
        json!({"typ": "Refresh"}),
        json!({"typ": "Offline"}),
        json!({"typ": "DPoP"}),
        json!({"typ": 1}),
        json!({"at_hash": "x"}),
        json!({"c_hash": "x"}),
        json!({"events": {}}),
    ] {
        assert!(matches!(read(kind.clone()), Err(TokenError::Invalid(_))), "{kind}");
    }
    for fine in [
        json!({"exp": SECONDS - 29}),
        json!({"exp": SECONDS as f64 + 0.5}),
        json!({"exp": 1e300}),
        json!({"nbf": SECONDS + 30}),
        json!({"aud": "scheduler0"}),
        json!({"aud": null, "azp": "cli"}),
        json!({"aud": "account", "client_id": "cli"}),
        json!({"typ": null}),
        json!({"typ": "at+jwt"}),
        json!({"sub": "s".repeat(255)}),
    ] {
        assert!(read(fine.clone()).is_ok(), "{fine}: {:?}", read(fine.clone()).err());
    }
}

#[test]
fn a_client_counts_only_where_clients_are_named() {
    let only = OidcIssuer { clients: Vec::new(), ..issuer() };
    let of = |changes| caller(&claims(changes), &only, NOW);
    assert!(of(json!({})).is_ok());
    let said = of(json!({"aud": null, "azp": "cli"})).unwrap_err().to_string();
    assert!(said.contains("aud"), "{said}");
    assert!(of(json!({"aud": null, "azp": ""})).is_err());
}

#[test]
fn scopes_are_in_texts_lists_and_roles() {
    let issuer = OidcIssuer {
        role_claims: ["realm_access.roles", "resource_access.a.roles", "https://a.b/roles"]
            .map(str::to_owned)
            .to_vec(),
        ..issuer()
    };
    let of = |changes: Value| {
        caller(&claims(changes), &issuer, NOW).map(|caller| caller.scopes.to_string())
    };
    let none = json!({"scope": null});
    assert_eq!(of(none).unwrap(), "", "a token may have no scopes");
    for (changes, wanted) in [
        (json!({"scope": ["jobs:read", "openid"]}), "jobs:read"),
        (json!({"scope": "execute", "scp": ["jobs:write"]}), "jobs:write, runs:write"),
        (json!({"scope": "jobs:read\tjobs:write"}), ""),
        (json!({"scope": ["jobs:read jobs:write"]}), ""),
        (json!({"scope": null, "realm_access": {"roles": ["jobs:read", "other"]}}), "jobs:read"),
        (json!({"scope": null, "resource_access": {"a": {"roles": ["execute"]}}}), "runs:write"),
        (json!({"scope": null, "resource_access": {"b": {"roles": ["execute"]}}}), ""),
        (json!({"scope": null, "resource_access": ["a"]}), ""),
        (json!({"scope": null, "https://a.b/roles": "runs:read"}), "runs:read"),
        (json!({"scope": "cluster:admin cluster:read jobs:read"}), "jobs:read"),
    ] {
        assert_eq!(of(changes.clone()).unwrap(), wanted, "{changes}");
    }
    let wrong = of(json!({"realm_access": {"roles": {"jobs:read": true}}})).unwrap_err();
    assert!(wrong.to_string().contains("roles"), "{wrong}");
    let allowed = OidcIssuer { allow_cluster: true, ..issuer };
    let scopes = caller(&claims(json!({"scope": "cluster:admin"})), &allowed, NOW).unwrap().scopes;
    assert_eq!(scopes.to_string(), "cluster:admin");
}
