//! How far a client's key reaches among credentials, and what an `Idempotency-Key` brings back.

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

    /// Makes another pair with this one.
    async fn make(&self, house: &House) -> Self {
        Self::of(&self.send(house, "POST", "/credentials", json!({"createdBy": "ops"})).await)
    }

    async fn opens(&self, house: &House) -> bool {
        self.send(house, "GET", "/projects", json!(null)).await.status == StatusCode::OK
    }

    /// The numbers that it sees.
    async fn seen(&self, house: &House) -> Vec<u64> {
        let listed = self.send(house, "GET", "/credentials", json!(null)).await;
        let rows = listed.json["data"]["credentials"].as_array().unwrap().clone();
        assert_eq!(listed.json["data"]["total"], rows.len());
        rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
    }
}

async fn by_operator(house: &House) -> Client {
    Client::of(&house.post("/api/v1/credentials", json!({})).await)
}

#[tokio::test]
async fn a_client_reaches_its_own_key_and_what_it_made() {
    let house = House::build().await;
    let (own, other) = (by_operator(&house).await, by_operator(&house).await);
    let made = own.make(&house).await;
    let below = made.make(&house).await;
    let elsewhere = other.make(&house).await;
    assert_eq!(own.seen(&house).await, [own.id, made.id, below.id]);
    assert_eq!(made.seen(&house).await, [made.id, below.id]);

    let shown = own.send(&house, "GET", &format!("/credentials/{}", below.id), json!(null)).await;
    assert_eq!(shown.json["data"]["parentId"], made.id, "by the caller, whoever the body names");
    assert_eq!(shown.json["data"]["createdBy"], "ops", "beside what the body says");
    let root = house.get(&format!("/api/v1/credentials/{}", own.id)).await;
    assert_eq!(root.json["data"].get("parentId"), None, "an operator's has none");
    let forged = own.send(&house, "POST", "/credentials", json!({"parentId": other.id})).await;
    assert_eq!(forged.json["data"]["parentId"], own.id);

    for id in [other.id, elsewhere.id, 9_999] {
        let path = format!("/credentials/{id}");
        for (method, path, body) in [
            ("GET", path.clone(), json!(null)),
            ("PUT", path.clone(), json!({"archived": true})),
            ("PUT", path.clone(), json!({"archived": false})),
            ("POST", format!("{path}/archive"), json!({"archivedBy": "me"})),
            ("DELETE", path.clone(), json!({"deletedBy": "me"})),
        ] {
            let refused = own.send(&house, method, &path, body).await;
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(refused.json["data"], "credential cannot be found");
        }
    }
    assert!(other.opens(&house).await && elsewhere.opens(&house).await);
}

#[tokio::test]
async fn the_published_clients_calls_work_with_a_key_for_what_it_made() {
    let house = House::build().await;
    let own = by_operator(&house).await;
    let made = own.make(&house).await;
    let path = format!("/credentials/{}", made.id);
    let kept = own.send(&house, "PUT", &path, json!({"archived": false, "modifiedBy": "me"})).await;
    assert_eq!((kept.status, &kept.json["data"]["archived"]), (StatusCode::OK, &json!(false)));
    let gone =
        own.send(&house, "POST", &format!("{path}/archive"), json!({"archivedBy": "me"})).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.json);
    assert_eq!(
        (&gone.json["data"]["archived"], &gone.json["data"]["archivedBy"]),
        (&json!(true), &json!("me"))
    );
    assert!(!made.opens(&house).await);
    let back = own.send(&house, "PUT", &path, json!({"archived": false})).await;
    assert_eq!(back.status, StatusCode::FORBIDDEN, "{}", back.json);
    assert!(back.json["data"].as_str().unwrap().contains("only an operator"), "{}", back.json);
    let back = house.put(&format!("/api/v1{path}"), json!({"archived": false})).await;
    assert_eq!(back.status, StatusCode::OK);
    assert!(made.opens(&house).await);
    let deleted = own.send(&house, "DELETE", &path, json!({"deletedBy": "me"})).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    assert!(!made.opens(&house).await);
}

#[tokio::test]
async fn nothing_that_a_leaked_key_made_outlives_it() {
    let house = House::build().await;
    let leaked = by_operator(&house).await;
    let made = leaked.make(&house).await;
    let below = made.make(&house).await;
    let archive = format!("/api/v1/credentials/{}/archive", leaked.id);
    assert_eq!(house.post(&archive, json!({})).await.status, StatusCode::OK);
    for client in [&leaked, &made, &below] {
        assert!(!client.opens(&house).await, "{}", client.id);
    }
    // A key may end itself, and takes what it made along.
    let own = by_operator(&house).await;
    let made = own.make(&house).await;
    let itself = format!("/credentials/{}", own.id);
    let deleted = own.send(&house, "DELETE", &itself, json!(null)).await;
    assert_eq!(deleted.status, StatusCode::FORBIDDEN, "{}", deleted.json);
    let ended = own.send(&house, "POST", &format!("{itself}/archive"), json!({})).await;
    assert_eq!((ended.status, &ended.json["data"]["archived"]), (StatusCode::OK, &json!(true)));
    assert!(!own.opens(&house).await && !made.opens(&house).await);
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
