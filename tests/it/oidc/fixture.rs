//! A node in process whose clock the test sets, with a provider whose tokens it takes.

use std::sync::Arc;
use std::time::Duration;

use scheduler0::clock::{Clock as _, TestClock};
use scheduler0::config::OidcIssuer;
use serde_json::{Value, json};

use super::provider::Provider;
use super::signer::{Signer, claims};
use crate::harness::{Answer, ApiFixture, PATIENCE};

/// The instant at which a test begins.
pub(super) const START: i64 = 1_900_000_000_000;

/// A node that takes tokens of a provider.
pub(super) struct Fixture {
    pub(super) api: ApiFixture,
    pub(super) clock: Arc<TestClock>,
    pub(super) provider: Provider,
    pub(super) signer: Signer,
}

impl Fixture {
    /// A node whose provider has one key, `a`, for ES256.
    pub(super) async fn new() -> Self {
        Self::with(|terms| terms).await
    }

    /// A node with other terms.
    pub(super) async fn with(terms: impl FnOnce(OidcIssuer) -> OidcIssuer) -> Self {
        Self::at_level(scheduler0::command::LEVEL, terms).await
    }

    /// A node with other terms, of a program of this level.
    pub(super) async fn at_level(level: u32, terms: impl FnOnce(OidcIssuer) -> OidcIssuer) -> Self {
        let signer = Signer::new("a", "ES256");
        let provider = Provider::start(&[&signer]).await;
        let clock = TestClock::new(START);
        let own = vec!["scheduler0".to_owned()];
        let issuer = terms(OidcIssuer::new(provider.issuer(), own, Vec::new()));
        let api = ApiFixture::build_with(clock.clone(), level, &[issuer]).await;
        let fixture = Self { api, clock, provider, signer };
        // A token of an unknown key waits for the first answer of the provider.
        let first = fixture.signer.token(&fixture.claims(&json!({})), &json!({"kid": "first"}));
        assert!(!fixture.is_accepted(&first).await);
        assert_eq!(fixture.provider.asked(), 1);
        fixture
    }

    /// The claims of a good token now, with changes.
    pub(super) fn claims(&self, changes: &Value) -> Value {
        claims(self.provider.issuer(), self.clock.wall() / 1_000, changes)
    }

    /// A good token, with changes of its claims.
    pub(super) fn token(&self, changes: &Value) -> String {
        self.signer.token(&self.claims(changes), &json!({}))
    }

    /// Asks for the projects with a token.
    pub(super) async fn ask(&self, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.api.send_bare("GET", "/projects", &[("authorization", &bearer)], "").await
    }

    /// The status, the code and the text of the answer to a token.
    pub(super) async fn told(&self, token: &str) -> (u16, String, String) {
        let answer = self.ask(token).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (code, data) = (text(&answer.json["error"]["code"]), text(&answer.json["data"]));
        (answer.status.as_u16(), code, data)
    }

    /// Says whether a token is accepted; panics where it is refused for another reason than
    /// expected.
    pub(super) async fn is_accepted(&self, token: &str) -> bool {
        let (status, code, _) = self.told(token).await;
        assert!(status == 200 || (status, code.as_str()) == (401, "token_invalid"), "{code}");
        status == 200
    }

    /// Waits until a token is accepted, or refused as `token_invalid`.
    pub(super) async fn until(&self, token: &str, accepted: bool) {
        let wait = async { while self.is_accepted(token).await != accepted {} };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "the token is judged otherwise");
    }

    /// Lets time pass, and waits until the provider has been asked so often in all.
    pub(super) async fn pass(&self, time: Duration, asked: usize) {
        self.clock.advance(time);
        self.wait_asked(asked).await;
    }

    /// Waits until the provider has been asked so often.
    pub(super) async fn wait_asked(&self, asked: usize) {
        let wait = async {
            while self.provider.asked() < asked {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "it was asked {} times", self.provider.asked());
    }
}
