//! The keys of an issuer: rotation, answers that are none, an issuer that is away, and how often it
//! is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::fixture::{Fixture, START};
use super::provider::{DISCOVERY, KEYS, json_answer};
use super::signer::Signer;
use crate::harness::PATIENCE;

/// An answer of a provider to a path, where it is not the usual one.
type Script = Box<dyn Fn(&str) -> Option<Response> + Send + Sync>;

const UNAVAILABLE: (u16, &str) = (503, "oidc_unavailable");

async fn told(oidc: &Fixture, token: &str) -> (u16, String) {
    let (status, code, _) = oidc.told(token).await;
    (status, code)
}

fn same(told: &(u16, String), wanted: (u16, &str)) -> bool {
    (told.0, told.1.as_str()) == wanted
}

#[tokio::test]
async fn a_new_key_is_asked_for_and_an_old_one_goes_with_the_next_refresh() {
    let oidc = Fixture::new().await;
    let (old, next) =
        (oidc.token(&json!({"exp": START / 1_000 + 10_000})), Signer::new("b", "ES256"));
    assert!(oidc.is_accepted(&old).await);
    let asked = oidc.provider.asked();
    oidc.provider.publish(&[&oidc.signer, &next]);
    let new = next.token(&oidc.claims(&json!({"exp": START / 1_000 + 10_000})), &json!({}));
    assert!(!oidc.is_accepted(&new).await, "the issuer was asked a moment ago");
    oidc.clock.advance(Duration::from_secs(30));
    assert!(oidc.is_accepted(&new).await);
    assert_eq!(oidc.provider.asked(), asked + 1);
    assert!(oidc.is_accepted(&old).await, "both keys are there");
    // The old key goes. Its tokens were verified a moment ago, and end all the same.
    oidc.provider.publish(&[&next]);
    oidc.clock.advance(Duration::from_secs(570));
    assert!(oidc.is_accepted(&old).await && oidc.is_accepted(&new).await);
    oidc.pass(Duration::from_secs(30), asked + 2).await;
    oidc.until(&old, false).await;
    assert!(oidc.is_accepted(&new).await);
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_id_ends_its_tokens() {
    let oidc = Fixture::new().await;
    let old = oidc.token(&json!({"exp": START / 1_000 + 10_000}));
    assert!(oidc.is_accepted(&old).await);
    let other = Signer::new("a", "ES256");
    oidc.provider.publish(&[&other]);
    oidc.pass(Duration::from_mins(10), 2).await;
    oidc.until(&old, false).await;
}

#[tokio::test]
async fn an_issuer_says_how_long_its_keys_hold() {
    let oidc = Fixture::new().await;
    assert!(oidc.is_accepted(&oidc.token(&json!({}))).await);
    let keys = json!({"keys": [oidc.signer.public()]});
    let next = Arc::new(std::sync::Mutex::new("max-age=7200"));
    let age = next.clone();
    oidc.provider.script(move |path| {
        let mut answer = (path == KEYS).then(|| json_answer(&keys))?;
        answer.headers_mut().insert("cache-control", age.lock().unwrap().parse().unwrap());
        Some(answer)
    });
    // After ten minutes, after two hours, and after a minute at least.
    for (wait, header) in [(600, "max-age=7200"), (7_200, "max-age=1"), (60, "max-age=60")] {
        *next.lock().unwrap() = header;
        let asked = oidc.provider.asked();
        // A fresh token needs the keys, and asks for none while they are known.
        oidc.clock.advance(Duration::from_secs(wait - 1));
        assert!(oidc.is_accepted(&oidc.token(&json!({}))).await);
        assert_eq!(oidc.provider.asked(), asked, "{wait}");
        oidc.pass(Duration::from_secs(1), asked + 1).await;
        // The answer is known when an unknown key has waited for its turn.
        let stranger = Signer::new("z", "ES256").token(&oidc.claims(&json!({})), &json!({}));
        assert!(!oidc.is_accepted(&stranger).await);
        assert_eq!(oidc.provider.asked(), asked + 1, "{wait}");
    }
}

#[tokio::test]
async fn a_thousand_unknown_keys_are_one_request() {
    let oidc = Fixture::new().await;
    assert!(oidc.is_accepted(&oidc.token(&json!({}))).await);
    oidc.clock.advance(Duration::from_secs(30));
    let asked = oidc.provider.asked();
    let claims = oidc.claims(&json!({}));
    let tokens: Vec<_> =
        (0..1_000).map(|n| oidc.signer.token(&claims, &json!({"kid": format!("k{n}")}))).collect();
    let answers = join_all(tokens.iter().map(|token| told(&oidc, token))).await;
    assert!(answers.iter().all(|told| same(told, (401, "token_invalid"))));
    assert_eq!(oidc.provider.asked(), asked + 1);
    assert!(oidc.is_accepted(&oidc.token(&json!({"x": 1}))).await, "good keys stay");
    // The one that was asked about costs no request later; another one does.
    oidc.clock.advance(Duration::from_secs(31));
    let mut remembered = 0;
    for token in &tokens {
        assert!(!oidc.is_accepted(token).await);
        if oidc.provider.asked() > asked + 1 {
            break;
        }
        remembered += 1;
    }
    assert!(remembered <= 1, "only one was asked about: {remembered}");
    assert_eq!(oidc.provider.asked(), asked + 2);
    oidc.clock.advance(Duration::from_secs(31));
    let known: Vec<_> = tokens.iter().take(remembered + 1).collect();
    for token in known {
        assert!(!oidc.is_accepted(token).await);
    }
    assert_eq!(oidc.provider.asked(), asked + 2, "the issuer does not know them");
}

#[tokio::test]
async fn an_issuer_that_is_away_takes_nothing_down_for_a_day() {
    let oidc = Fixture::new().await;
    let token = |now: i64| oidc.token(&json!({"exp": now + 60, "jti": now}));
    let start = START / 1_000;
    assert!(oidc.is_accepted(&token(start)).await);
    oidc.provider.go_down();
    for hours in [1, 22] {
        oidc.clock.advance(Duration::from_hours(hours));
        let now = scheduler0::clock::Clock::wall(&*oidc.clock) / 1_000;
        assert_eq!(told(&oidc, &token(now)).await.0, 200, "a known key after {hours} h");
    }
    // Whether the issuer has this key is not known.
    let stranger = Signer::new("z", "ES256").token(&oidc.claims(&json!({})), &json!({}));
    assert!(same(&told(&oidc, &stranger).await, UNAVAILABLE));
    oidc.clock.advance(Duration::from_hours(1));
    let now = scheduler0::clock::Clock::wall(&*oidc.clock) / 1_000;
    let answer = oidc.ask(&token(now)).await;
    assert_eq!(answer.json["error"]["code"], "oidc_unavailable");
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    // Key pairs and the operator go on working.
    assert_eq!(oidc.api.get("/projects").await.status, StatusCode::OK);
    oidc.provider.come_back();
    oidc.clock.advance(Duration::from_secs(30));
    until_served(&oidc, &token(now)).await;
}

/// Waits until a token is accepted after the issuer was away.
async fn until_served(oidc: &Fixture, token: &str) {
    let wait = async {
        while told(oidc, token).await.0 != 200 {
            oidc.clock.advance(Duration::from_millis(100));
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it is accepted again");
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_evicts_no_key() {
    let oidc = Fixture::new().await;
    let issuer = oidc.provider.issuer().to_owned();
    assert!(oidc.is_accepted(&oidc.token(&json!({}))).await);
    let to_keys = |value: Value| move |path: &str| (path == KEYS).then(|| json_answer(&value));
    let elsewhere = oidc.provider.at("/elsewhere");
    let evil = Signer::new("a", "ES256");
    let evil_keys = json!({"keys": [evil.public()]});
    let to_discovery = |value: Value| {
        let keys = evil_keys.clone();
        move |path: &str| match path {
            DISCOVERY => Some(json_answer(&value)),
            "/evil" => Some(json_answer(&keys)),
            _ => None,
        }
    };
    let evil_place = oidc.provider.at("/evil");
    let by_name = evil_place.replace("127.0.0.1", "keys.example");
    let redirect = {
        let (elsewhere, keys) = (elsewhere.clone(), evil_keys.clone());
        move |path: &str| match path {
            KEYS => Some((StatusCode::FOUND, [("location", elsewhere.clone())]).into_response()),
            "/elsewhere" => Some(json_answer(&keys)),
            _ => None,
        }
    };
    let large = {
        let mut keys = evil_keys.clone();
        keys["padding"] = "x".repeat(256 * 1_024).into();
        keys
    };
    let faults: Vec<(&str, Script)> = vec![
        ("no JSON", Box::new(|path| (path == KEYS).then(|| "<html>".into_response()))),
        ("no list", Box::new(to_keys(json!({"keys": 7})))),
        ("an empty list", Box::new(to_keys(json!({"keys": []})))),
        (
            "no usable key",
            Box::new(to_keys(json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}))),
        ),
        ("more than 256 KB", Box::new(to_keys(large))),
        ("a redirect", Box::new(redirect)),
        ("404", Box::new(|path| (path == KEYS).then(|| StatusCode::NOT_FOUND.into_response()))),
        (
            "201",
            Box::new({
                let keys = evil_keys.clone();
                move |path| {
                    (path == KEYS)
                        .then(|| (StatusCode::CREATED, json_answer(&keys)).into_response())
                }
            }),
        ),
        (
            "another issuer",
            Box::new(to_discovery(json!({"issuer": format!("{issuer}/"), "jwks_uri": evil_place}))),
        ),
        ("no issuer", Box::new(to_discovery(json!({"jwks_uri": evil_place})))),
        ("no keys", Box::new(to_discovery(json!({"issuer": issuer})))),
        (
            "keys by http elsewhere",
            Box::new(to_discovery(json!({"issuer": issuer, "jwks_uri": by_name}))),
        ),
    ];
    for (name, script) in faults {
        let requests = oidc.provider.requests();
        oidc.provider.script(script);
        oidc.clock.advance(Duration::from_mins(10));
        // A token of an unknown key waits for the answer, or asks once more.
        let token = oidc.signer.token(&oidc.claims(&json!({"jti": name})), &json!({"kid": name}));
        let wait = async { while !same(&told(&oidc, &token).await, UNAVAILABLE) {} };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{name}"));
        assert!(oidc.provider.requests() > requests, "{name}: it was not asked");
        let good = oidc.token(&json!({"jti": name}));
        assert_eq!(told(&oidc, &good).await.0, 200, "{name}: the good key stays");
        let bad = evil.token(&oidc.claims(&json!({"jti": name})), &json!({}));
        assert!(same(&told(&oidc, &bad).await, (401, "token_invalid")), "{name}");
        // The next fault is not the first failure of this one.
        oidc.provider.come_back();
        oidc.clock.advance(Duration::from_secs(30));
        let fresh =
            oidc.signer.token(&oidc.claims(&json!({})), &json!({"kid": format!("{name} again")}));
        let wait = async {
            while !same(&told(&oidc, &fresh).await, (401, "token_invalid")) {
                oidc.clock.advance(Duration::from_millis(100));
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{name}: again"));
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let oidc = Fixture::new().await;
    assert!(oidc.is_accepted(&oidc.token(&json!({}))).await);
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    oidc.provider.script(move |path| {
        let counted = counted.clone();
        (path == KEYS).then(|| {
            let piece = Bytes::from(vec![b' '; 64 * 1_024]);
            // A gigabyte.
            let pieces = futures_util::stream::iter(0..16_384).map(move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok::<_, std::io::Error>(piece.clone())
            });
            Body::from_stream(pieces).into_response()
        })
    });
    oidc.clock.advance(Duration::from_secs(30));
    let stranger = Signer::new("z", "ES256").token(&oidc.claims(&json!({})), &json!({}));
    assert!(same(&told(&oidc, &stranger).await, UNAVAILABLE));
    // What the sockets hold is on its way already.
    assert!(sent.load(Ordering::SeqCst) < 1_024, "{sent:?} pieces of 64 KB");
    assert!(oidc.is_accepted(&oidc.token(&json!({"x": 1}))).await);
}

#[tokio::test]
async fn an_issuer_that_was_never_there_is_unavailable_and_asked_once() {
    let oidc = Fixture::new().await;
    oidc.wait_asked(1).await;
    // Another node starts while the issuer is away.
    oidc.provider.go_down();
    let before = oidc.provider.requests();
    let terms = scheduler0::config::OidcIssuer::new(
        oidc.provider.issuer(),
        vec!["scheduler0".to_owned()],
        Vec::new(),
    );
    let level = scheduler0::command::LEVEL;
    let other = crate::harness::ApiFixture::build_with(oidc.clock.clone(), level, &[terms]).await;
    let bearer = format!("Bearer {}", oidc.token(&json!({})));
    for _ in 0..10 {
        let answer = other.send_bare("GET", "/jobs", &[("authorization", &bearer)], "").await;
        assert_eq!(answer.json["error"]["code"], "oidc_unavailable");
    }
    assert_eq!(oidc.provider.requests(), before + 1, "one request in half a minute");
    assert_eq!(other.get("/jobs").await.status, StatusCode::OK);
}

/// It takes the five seconds after which an issuer has not answered.
#[cfg(feature = "slow")]
#[tokio::test]
async fn an_issuer_that_does_not_answer_is_not_waited_for() {
    let oidc = Fixture::new().await;
    assert!(oidc.is_accepted(&oidc.token(&json!({}))).await);
    oidc.provider.script(|path| {
        let pieces = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        (path == KEYS).then(|| Body::from_stream(pieces).into_response())
    });
    oidc.clock.advance(Duration::from_secs(30));
    let stranger = Signer::new("z", "ES256").token(&oidc.claims(&json!({})), &json!({}));
    let (asked, known) = tokio::join!(told(&oidc, &stranger), async {
        oidc.wait_asked(2).await;
        told(&oidc, &oidc.token(&json!({"x": 1}))).await
    });
    assert!(same(&asked, UNAVAILABLE), "{asked:?}");
    assert_eq!(known.0, 200, "known keys wait for nobody");
}
