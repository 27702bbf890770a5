//! Tokens that are good, and tokens that break one rule each: status, code and text of the answer.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::fixture::{Fixture, START};
use super::signer::{Signer, encoded};
use crate::harness::{ApiFixture, OPERATOR};

const INVALID: (u16, &str, &str) = (401, "token_invalid", "Invalid access token");
const ISSUER: (u16, &str, &str) = (401, "issuer_invalid", "Invalid issuer");
const CLAIMS: (u16, &str, &str) = (401, "claims_invalid", "Invalid claims");

/// The headers of a request, and the status, code and message of its answer.
type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str, &'a str);

fn authorization(value: &str) -> (&str, &str) {
    ("authorization", value)
}

fn is(told: &(u16, String, String), wanted: (u16, &str, &str)) -> bool {
    (told.0, told.1.as_str(), told.2.as_str()) == wanted
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_is_accepted() {
    let oidc = Fixture::new().await;
    let signers = [
        Signer::new("rsa", "RS256"),
        Signer::new("pss", "PS256"),
        Signer::new("curve", "ES256"),
        Signer::new("edwards", "EdDSA"),
    ];
    oidc.provider.publish(&signers.each_ref());
    oidc.pass(Duration::from_mins(10), 2).await;
    for signer in &signers {
        let token = signer.token(&oidc.claims(&json!({})), &json!({}));
        oidc.until(&token, true).await;
    }
    // The key says by which algorithm, whatever the token says: RSA keys would verify both.
    for (signer, other) in [(0, "PS256"), (1, "RS256"), (2, "EdDSA"), (3, "ES256")] {
        let token = signers[signer].token(&oidc.claims(&json!({})), &json!({"alg": other}));
        assert!(is(&oidc.told(&token).await, INVALID), "{other}");
    }
    // The signature of PS256 under the name of RS256, and the other way round.
    for (signer, name) in [(1, "rsa"), (0, "pss")] {
        let algorithm = if name == "rsa" { "RS256" } else { "PS256" };
        let header = json!({"kid": name, "alg": algorithm});
        let token = signers[signer].token(&oidc.claims(&json!({})), &header);
        assert!(is(&oidc.told(&token).await, INVALID), "{name}");
    }
}

#[tokio::test]
async fn a_token_that_its_issuer_did_not_sign_is_refused() {
    let oidc = Fixture::new().await;
    let rsa = Signer::new("rsa", "RS256");
    oidc.provider.publish(&[&oidc.signer, &rsa]);
    oidc.pass(Duration::from_mins(10), 2).await;
    let claims = oidc.claims(&json!({}));
    oidc.until(&rsa.token(&claims, &json!({})), true).await;
    let good = oidc.token(&json!({}));
    assert!(oidc.is_accepted(&good).await);
    let unsigned =
        |header: Value| format!("{}.{}.", encoded(header.to_string()), encoded(claims.to_string()));
    let mac = |secret: &[u8], kid: &str| {
        let header = json!({"alg": "HS256", "kid": kid, "typ": "JWT"});
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", encoded(mac.finalize().into_bytes()))
    };
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let more = encoded(oidc.claims(&json!({"scope": "admin"})).to_string());
    let stranger = Signer::new("a", "ES256");
    let own_key = json!({"jwk": stranger.public(), "jku": oidc.provider.at("/evil")});
    for (name, token) in [
        ("alg none", unsigned(json!({"alg": "none"}))),
        ("alg None with the key", unsigned(json!({"alg": "None", "kid": "a"}))),
        ("no signature", format!("{head}.{body}.")),
        ("HS256 with the public key", mac(&rsa.modulus(), "rsa")),
        (
            "HS256 with the published text",
            mac(rsa.public()["n"].as_str().unwrap().as_bytes(), "rsa"),
        ),
        ("other claims", format!("{head}.{more}.{signature}")),
        ("cut signature", good[..good.len() - 4].to_owned()),
        ("another signer", stranger.token(&claims, &json!({}))),
        ("a key in the header", stranger.token(&claims, &own_key)),
        ("another kid", oidc.signer.token(&claims, &json!({"kid": "rsa"}))),
        ("unknown kid", oidc.signer.token(&claims, &json!({"kid": "z"}))),
        ("no kid among several keys", oidc.signer.token(&claims, &json!({"kid": null}))),
        ("kid that is no text", oidc.signer.token(&claims, &json!({"kid": 1}))),
        ("crit", oidc.signer.token(&claims, &json!({"crit": ["exp"], "exp": 1}))),
        ("typ", oidc.signer.token(&claims, &json!({"typ": "logout+jwt"}))),
        ("RS512", oidc.signer.token(&claims, &json!({"alg": "RS512"}))),
        ("two parts", format!("{head}.{body}")),
        ("five parts", format!("{head}.{body}.{signature}.{body}.{signature}")),
        ("no JWT", "opaque".to_owned()),
        ("more than 8 KB", oidc.token(&json!({"x": "x".repeat(8_192)}))),
        ("a megabyte", "a".repeat(1 << 20)),
        ("an ID token", oidc.token(&json!({"typ": "ID"}))),
        ("an ID token by its hash", oidc.token(&json!({"at_hash": "x"}))),
        ("a refresh token", oidc.token(&json!({"typ": "Refresh"}))),
    ] {
        let told = oidc.told(&token).await;
        assert!(is(&told, INVALID), "{name}: {told:?}");
    }
    let large = oidc.token(&json!({"x": "x".repeat(5_000)}));
    assert!(large.len() < 8_192 && oidc.is_accepted(&large).await, "below 8 KB");
}

#[tokio::test]
async fn each_claim_of_a_token_is_checked() {
    let oidc = Fixture::new().await;
    let now = START / 1_000;
    for (changes, wanted) in [
        (json!({"iss": null}), ISSUER),
        (json!({"iss": "https://evil.example"}), ISSUER),
        (json!({"iss": format!("{}/", oidc.provider.issuer())}), ISSUER),
        (json!({"iss": [oidc.provider.issuer()]}), ISSUER),
        (json!({"aud": null}), CLAIMS),
        (json!({"aud": "other"}), CLAIMS),
        (json!({"aud": null, "azp": "scheduler0"}), CLAIMS),
        (json!({"aud": {"a": "scheduler0"}}), CLAIMS),
        (json!({"exp": null}), CLAIMS),
        (json!({"exp": now - 30}), CLAIMS),
        (json!({"exp": "never"}), CLAIMS),
        (json!({"nbf": now + 31}), CLAIMS),
        (json!({"sub": null}), CLAIMS),
        (json!({"scope": {"jobs:read": true}}), CLAIMS),
    ] {
        let told = oidc.told(&oidc.token(&changes)).await;
        assert!(is(&told, wanted), "{changes}: {told:?}");
    }
    for changes in [
        json!({"aud": ["account", "scheduler0"]}),
        json!({"exp": now - 29}),
        json!({"nbf": now + 30}),
        json!({"scope": ["projects:read"]}),
        json!({"scope": null, "scp": "projects:read"}),
    ] {
        let told = oidc.told(&oidc.token(&changes)).await;
        assert_eq!(told.0, 200, "{changes}: {told:?}");
    }
    let message = oidc.ask(&oidc.token(&json!({"exp": now - 30}))).await.json;
    let message = message["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "Invalid claims: the token has expired (exp)");
    // Whoever has no signature of the issuer is told nothing about claims.
    let forged = Signer::new("a", "ES256").token(&oidc.claims(&json!({"exp": 1})), &json!({}));
    assert!(is(&oidc.told(&forged).await, INVALID));
}

#[tokio::test]
async fn a_client_of_the_issuer_stands_for_an_audience() {
    let terms = |terms: scheduler0::config::OidcIssuer| scheduler0::config::OidcIssuer {
        audiences: Vec::new(),
        clients: vec!["cli".to_owned()],
        role_claims: vec!["resource_access.s0.roles".to_owned()],
        ..terms
    };
    let oidc = Fixture::with(terms).await;
    for (changes, wanted) in [
        (json!({"azp": "cli"}), 200),
        (json!({"azp": "cli", "aud": null}), 200),
        (json!({"azp": null, "client_id": "cli"}), 200),
        (json!({}), 401),
        (json!({"azp": null, "aud": "cli"}), 401),
        (json!({"azp": "other", "client_id": "cli"}), 401),
        (json!({"azp": "cli", "scope": null, "resource_access": {"s0": {"roles": ["read"]}}}), 200),
        (json!({"azp": "cli", "scope": null, "roles": ["read"]}), 403),
    ] {
        let told = oidc.told(&oidc.token(&changes)).await;
        assert_eq!(told.0, wanted, "{changes}: {told:?}");
    }
}

#[tokio::test]
async fn a_token_that_was_accepted_ends_with_its_time() {
    let oidc = Fixture::new().await;
    let token = oidc.token(&json!({"exp": START / 1_000 + 100}));
    assert!(oidc.is_accepted(&token).await);
    oidc.clock.advance(Duration::from_secs(129));
    assert!(oidc.is_accepted(&token).await, "within the difference of clocks");
    oidc.clock.advance(Duration::from_secs(1));
    assert!(is(&oidc.told(&token).await, CLAIMS));
}

#[tokio::test]
async fn the_header_of_a_token_has_one_form() {
    let oidc = Fixture::new().await;
    let made = oidc.api.post("/credentials", json!({})).await.json;
    let text = |name: &str| made["data"][name].as_str().unwrap().to_owned();
    let (key, secret) = (text("api_key"), text("api_secret"));
    let token = format!("Bearer {}", oidc.token(&json!({})));
    let pair = format!("Bearer {key}.{secret}");
    let wrong = format!("Bearer {key}.wrong");
    let (x_key, x_secret) = (("x-api-key", key.as_str()), ("x-secret-key", secret.as_str()));
    let spaced = token.replace("Bearer", "bearer ");
    let cases: &[Case<'_>] = &[
        (&[authorization(&token)], 200, "", ""),
        (&[authorization(&spaced)], 200, "", ""),
        (&[authorization(&token), ("x-peer", "cmd")], 200, "", ""),
        (&[authorization("Bearer")], 401, "token_missing", "Access token is missing"),
        (&[authorization("Bearer  ")], 401, "token_missing", "Access token is missing"),
        (
            &[authorization("Bearer a b")],
            401,
            "authorization_invalid",
            "Invalid authorization format",
        ),
        (&[authorization(&pair)], 200, "", ""),
        (&[authorization(&wrong)], 401, "unauthorized", "unauthorized requests"),
        (&[authorization("Bearer s0_x")], 401, "unauthorized", "unauthorized requests"),
        (&[x_key, x_secret], 200, "", ""),
        (&[x_key, x_secret, authorization(&token)], 400, "ambiguous_credentials", ""),
        (&[x_key, x_secret, authorization(&pair)], 400, "ambiguous_credentials", ""),
        (&[authorization(&token), authorization(&token)], 400, "ambiguous_credentials", ""),
        (&[authorization("Token x")], 401, "unauthorized", "unauthorized requests"),
        (&[authorization(OPERATOR)], 401, "unauthorized", "unauthorized requests"),
        (&[], 401, "unauthorized", "unauthorized requests"),
    ];
    for (headers, status, code, data) in cases {
        let answer = oidc.api.send_bare("GET", "/projects", headers, "").await;
        assert_eq!(answer.status.as_u16(), *status, "{headers:?}");
        if *status != 200 {
            assert_eq!(answer.json["error"]["code"], *code, "{headers:?}");
        }
        if !data.is_empty() {
            assert_eq!(answer.json["data"], *data, "{headers:?}");
        }
        let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        if *status == 401 {
            assert_eq!(challenges.len(), 2, "{headers:?}");
            let bearer = challenges[1].to_str().unwrap();
            assert!(bearer.starts_with("Bearer realm=\"scheduler0\""), "{bearer}");
        } else {
            assert!(challenges.is_empty(), "{headers:?}");
        }
    }
    let refused = oidc.ask("nonsense").await;
    let challenges: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges[1], "Bearer realm=\"scheduler0\", error=\"invalid_token\"");
    let shown = String::from_utf8(refused.body).unwrap();
    assert!(!shown.contains("nonsense"), "{shown}");
}

#[tokio::test]
async fn a_node_without_issuers_takes_no_token() {
    let api = ApiFixture::build().await;
    let token = Signer::new("a", "ES256").token(&json!({"iss": "https://id"}), &json!({}));
    let bearer = format!("Bearer {token}");
    let answer = api.send_bare("GET", "/jobs", &[("authorization", &bearer)], "").await;
    assert_eq!((answer.status.as_u16(), &answer.json["data"]), (401, &json!("Invalid issuer")));
    assert!(answer.json["error"]["message"].as_str().unwrap().contains("OidcIssuers is not set"));
    let nobody = api.send_bare("GET", "/jobs", &[], "").await;
    let challenges: Vec<_> = nobody.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges.len(), 1, "without an issuer no token is asked for: {challenges:?}");
    let config = api.send_bare("GET", "/v1/auth/config", &[], "").await;
    assert_eq!(config.json, json!({"data": {"issuers": []}, "success": true}));
}
