//! The rates of keys: a client that floods the API is refused, and no key gets around its own rate.

use std::time::Instant;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture};

struct Key {
    public: String,
    secret: String,
    id: u64,
}

impl Key {
    fn of(made: &Answer) -> Self {
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
        let data = &made.json["data"];
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        Self { public: text("apiKey"), secret: text("apiSecret"), id: data["id"].as_u64().unwrap() }
    }

    async fn send(&self, api: &ApiFixture, method: &str, path: &str, body: Value) -> Answer {
        let pair = [("x-api-key", self.public.as_str()), ("x-secret-key", self.secret.as_str())];
        api.send_bare(method, &format!("/api/v1{path}"), &pair, body.to_string()).await
    }

    /// The answers to so many requests that passed, and that were refused.
    async fn flood(&self, api: &ApiFixture, requests: usize) -> (usize, usize) {
        let mut refused = 0;
        for _ in 0..requests {
            let answer = self.send(api, "GET", "/jobs?limit=1", json!(null)).await;
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                assert_eq!(answer.json["error"]["code"], json!("rate_limited"));
                assert_eq!(answer.header("retry-after"), "1");
                refused += 1;
            } else {
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
            }
        }
        (requests - refused, refused)
    }
}

#[tokio::test]
async fn a_key_makes_as_many_requests_in_a_second_as_it_may() {
    let api = ApiFixture::build().await;
    let body = json!({"ratePerSecond": 10});
    let key = Key::of(&api.post("/api/v1/credentials", body).await);
    let begun = Instant::now();
    let (passed, refused) = key.flood(&api, 100).await;
    // However long it took: ten at once, and ten for each second.
    let most = 11 + 10 * begun.elapsed().as_secs() as usize + 10;
    assert!((10..=most).contains(&passed), "{passed} passed, {refused} were refused");
    let text = String::from_utf8(api.get("/metrics").await.body).unwrap();
    assert!(text.contains(&format!("scheduler0_rate_limited_total {refused}\n")), "{text}");
    // A form of the same pair counts as well.
    let bearer = format!("Bearer {}.{}", key.public, key.secret);
    let mut refused = 0;
    for _ in 0..30 {
        let answer = api.send_bare("GET", "/api/v1/jobs", &[("authorization", &bearer)], "").await;
        refused += usize::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 0 || begun.elapsed().as_secs() > 2, "{refused}");
    // Neither the operator nor another key is concerned.
    let other = Key::of(&api.post("/api/v1/credentials", json!({})).await);
    assert_eq!(other.flood(&api, 100).await, (100, 0));
}

#[tokio::test]
async fn no_key_gets_a_higher_rate_by_making_others() {
    let api = ApiFixture::build().await;
    let own = Key::of(&api.post("/api/v1/credentials", json!({"ratePerSecond": 100})).await);
    for rate in [json!(null), json!(101)] {
        let answer = own.send(&api, "POST", "/credentials", json!({"ratePerSecond": rate})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.json);
        let said = answer.json["error"]["message"].as_str().unwrap();
        assert!(said.contains("its own rate is 100"), "{said}");
    }
    let path = format!("/credentials/{}", own.id);
    let wider = own.send(&api, "PATCH", &path, json!({"ratePerSecond": null})).await;
    assert_eq!(wider.status, StatusCode::FORBIDDEN, "{}", wider.json);
    let mut children = Vec::new();
    for _ in 0..5 {
        let made = own.send(&api, "POST", "/credentials", json!({"ratePerSecond": 100})).await;
        children.push(Key::of(&made));
    }
    let (begun, mut passed) = (Instant::now(), 0);
    for key in &children {
        passed += key.flood(&api, 100).await.0;
    }
    let most = 100 + 100 * (begun.elapsed().as_secs() as usize + 1);
    assert!(passed <= most, "{passed} of 500, at most {most}");
}

#[tokio::test]
async fn a_rate_is_shown_changed_and_taken_away() {
    let api = ApiFixture::build().await;
    let key = Key::of(&api.post("/api/v1/credentials", json!({"ratePerSecond": 5})).await);
    let path = format!("/api/v1/credentials/{}", key.id);
    let change = async |body: Value| api.send("PATCH", &path, &[], body.to_string()).await;
    assert_eq!(api.get(&path).await.json["data"]["ratePerSecond"], json!(5));
    assert_eq!(change(json!({"name": "n"})).await.json["data"]["ratePerSecond"], json!(5));
    assert_eq!(change(json!({"ratePerSecond": 7})).await.json["data"]["ratePerSecond"], json!(7));
    for bad in [json!(0), json!(-1), json!(1.5), json!("5"), json!(1_000_001)] {
        let answer = change(json!({"ratePerSecond": bad})).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer.json["error"]["field"], json!("ratePerSecond"));
    }
    let cleared = change(json!({"ratePerSecond": null})).await;
    assert_eq!(cleared.json["data"].get("ratePerSecond"), None, "{}", cleared.json);
    assert_eq!(key.flood(&api, 50).await, (50, 0));
}
