//! Key pairs and signing secrets under an `Idempotency-Key`: what it brings back, and what not.

use std::time::Duration;

use axum::http::StatusCode;
use scheduler0::clock::TestClock;
use serde_json::{Value, json};

use super::fixture::{Answer, House};

/// A day and an hour: no key is remembered that long.
const LATER: Duration = Duration::from_hours(25);

/// A key pair and its number.
struct Client {
    id: u64,
    key: String,
    secret: String,
}

impl Client {
    fn of(made: &Answer) -> Self {
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
        let data = &made.json["data"];
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        Self { id: data["id"].as_u64().unwrap(), key: text("apiKey"), secret: text("apiSecret") }
    }

    fn pair(&self) -> [(&str, &str); 2] {
        [("x-api-key", &self.key), ("x-secret-key", &self.secret)]
    }

    async fn send(&self, house: &House, method: &str, path: &str, body: Value) -> Answer {
        let path = format!("/api/v1{path}");
        house.send_bare(method, &path, &self.pair(), body.to_string()).await
    }

    async fn opens(&self, house: &House) -> bool {
        self.send(house, "GET", "/projects", json!(null)).await.status == StatusCode::OK
    }
}

async fn by_operator(house: &House) -> Client {
    Client::of(&house.post("/api/v1/credentials", json!({})).await)
}

#[tokio::test]
async fn an_idempotency_key_brings_no_deleted_pair_back() {
    let clock = TestClock::new(1_900_000_000_000);
    let house = House::build_by(clock.clone()).await;
    let key = [("idempotency-key", "k")];
    let send = async || house.send("POST", "/api/v1/credentials", &key, "{}").await;
    let first = send().await;
    let client = Client::of(&first);
    assert_eq!(send().await.json, first.json, "the same request, the same answer");
    let path = format!("/api/v1/credentials/{}", client.id);
    assert_eq!(house.delete(&path).await.status, StatusCode::NO_CONTENT);
    let again = send().await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.json);
    assert!(again.json["data"].as_str().unwrap().contains("has been deleted since"));
    assert!(!client.opens(&house).await);

    clock.advance(LATER);
    let other = Client::of(&send().await);
    assert!(other.key != client.key && other.secret != client.secret);
    assert!(other.opens(&house).await && !client.opens(&house).await);
}

#[tokio::test]
async fn an_idempotency_key_rotates_to_a_new_secret_each_day() {
    let clock = TestClock::new(1_900_000_000_000);
    let house = House::build_by(clock.clone()).await;
    house.project().await;
    let executor = json!({"name": "e", "webhookUrl": "http://localhost:1/"});
    assert_eq!(house.post("/executors", executor).await.status, StatusCode::CREATED);
    for path in ["/api/v1/projects/1/rotate-secret", "/api/v1/executors/1/rotate-secret"] {
        let key = [("idempotency-key", path)];
        let rotate = async || house.send("POST", path, &key, "{}").await;
        let first = rotate().await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.json);
        assert_eq!(rotate().await.json, first.json, "the same request, the same answer");
        clock.advance(LATER);
        let second = rotate().await;
        let secret =
            |answer: &Answer| answer.json["data"]["webhookSecret"].as_str().map(str::to_owned);
        assert!(secret(&first).is_some() && secret(&second).is_some(), "{path}");
        assert_ne!(secret(&first), secret(&second), "{path}: it rotates what it says it rotates");

        // To the secret in use there is no rotation; who repeats the one that made it so is answered.
        let given = json!({"webhookSecret": "a secret of the client's own"});
        let named = [("idempotency-key", "named")];
        let rotate = async |headers: &[(&str, &str)]| {
            house.send("POST", path, headers, given.to_string()).await
        };
        let done = rotate(&named).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.json);
        assert_eq!(rotate(&named).await.json, done.json);
        for headers in [&[][..], &[("idempotency-key", "another")]] {
            let same = rotate(headers).await;
            assert_eq!(same.status, StatusCode::CONFLICT, "{path}: {}", same.json);
            assert_eq!(same.json["error"]["field"], "webhookSecret");
        }
    }
}

#[tokio::test]
async fn a_client_is_told_the_pair_of_its_idempotency_key_again() {
    let house = House::build().await;
    let client = by_operator(&house).await;
    let headers = [&client.pair()[..], &[("idempotency-key", "k")]].concat();
    let send = async || house.send_bare("POST", "/api/v1/credentials", &headers, "{}").await;
    let (first, second) = (send().await, send().await);
    assert_eq!(first.json, second.json);
    assert!(Client::of(&first).opens(&house).await);
    // An operator's key of the same name is another one.
    let other = house.send("POST", "/api/v1/credentials", &[("idempotency-key", "k")], "{}").await;
    assert_ne!(Client::of(&other).key, Client::of(&first).key);
}
