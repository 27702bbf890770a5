//! The rights of a client's key over credentials, and what an `Idempotency-Key` returns.

use std::time::Duration;

use axum::http::StatusCode;
use scheduler0::clock::TestClock;
use serde_json::{Value, json};

use crate::harness::{Answer, ApiFixture};

/// A day and an hour: longer than idempotency keys are kept.
const LATER: Duration = Duration::from_hours(25);

/// A key pair and its id.
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

    async fn send(&self, api: &ApiFixture, method: &str, path: &str, body: Value) -> Answer {
        let path = format!("/api/v1{path}");
        api.send_bare(method, &path, &self.pair(), body.to_string()).await
    }

    /// Creates another pair with this one.
    async fn make(&self, api: &ApiFixture) -> Self {
        Self::of(&self.send(api, "POST", "/credentials", json!({"createdBy": "ops"})).await)
    }

    async fn opens(&self, api: &ApiFixture) -> bool {
        self.send(api, "GET", "/projects", json!(null)).await.status == StatusCode::OK
    }

    /// The ids of the credentials that it sees.
    async fn seen(&self, api: &ApiFixture) -> Vec<u64> {
        let listed = self.send(api, "GET", "/credentials", json!(null)).await;
        let rows = listed.json["data"]["credentials"].as_array().unwrap().clone();
        assert_eq!(listed.json["data"]["total"], rows.len());
        rows.iter().map(|row| row["id"].as_u64().unwrap()).collect()
    }
}

async fn by_operator(api: &ApiFixture) -> Client {
    Client::of(&api.post("/api/v1/credentials", json!({})).await)
}

#[tokio::test]
async fn a_client_reaches_its_own_key_and_what_it_made() {
    let api = ApiFixture::build().await;
    let (own, other) = (by_operator(&api).await, by_operator(&api).await);
    let made = own.make(&api).await;
    let below = made.make(&api).await;
    let elsewhere = other.make(&api).await;
    assert_eq!(own.seen(&api).await, [own.id, made.id, below.id]);
    assert_eq!(made.seen(&api).await, [made.id, below.id]);

    let shown = own.send(&api, "GET", &format!("/credentials/{}", below.id), json!(null)).await;
    assert_eq!(shown.json["data"]["parentId"], made.id, "by the caller, whoever the body names");
    assert_eq!(shown.json["data"]["createdBy"], "ops", "beside what the body says");
    let root = api.get(&format!("/api/v1/credentials/{}", own.id)).await;
    assert_eq!(root.json["data"].get("parentId"), None, "an operator's has none");
    let forged = own.send(&api, "POST", "/credentials", json!({"parentId": other.id})).await;
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
            let refused = own.send(&api, method, &path, body).await;
            assert_eq!(refused.status, StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(refused.json["data"], "credential cannot be found");
        }
    }
    assert!(other.opens(&api).await && elsewhere.opens(&api).await);
}

#[tokio::test]
async fn the_published_clients_calls_work_with_a_key_for_what_it_made() {
    let api = ApiFixture::build().await;
    let own = by_operator(&api).await;
    let made = own.make(&api).await;
    let path = format!("/credentials/{}", made.id);
    let kept = own.send(&api, "PUT", &path, json!({"archived": false, "modifiedBy": "me"})).await;
    assert_eq!((kept.status, &kept.json["data"]["archived"]), (StatusCode::OK, &json!(false)));
    let gone =
        own.send(&api, "POST", &format!("{path}/archive"), json!({"archivedBy": "me"})).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.json);
    assert_eq!(
        (&gone.json["data"]["archived"], &gone.json["data"]["archivedBy"]),
        (&json!(true), &json!("me"))
    );
    assert!(!made.opens(&api).await);
    let back = own.send(&api, "PUT", &path, json!({"archived": false})).await;
    assert_eq!(back.status, StatusCode::FORBIDDEN, "{}", back.json);
    assert!(back.json["data"].as_str().unwrap().contains("only an operator"), "{}", back.json);
    let back = api.put(&format!("/api/v1{path}"), json!({"archived": false})).await;
    assert_eq!(back.status, StatusCode::OK);
    assert!(made.opens(&api).await);
    let deleted = own.send(&api, "DELETE", &path, json!({"deletedBy": "me"})).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    assert!(!made.opens(&api).await);
}

#[tokio::test]
async fn nothing_that_a_leaked_key_made_outlives_it() {
    let api = ApiFixture::build().await;
    let leaked = by_operator(&api).await;
    let made = leaked.make(&api).await;
    let below = made.make(&api).await;
    let archive = format!("/api/v1/credentials/{}/archive", leaked.id);
    assert_eq!(api.post(&archive, json!({})).await.status, StatusCode::OK);
    for client in [&leaked, &made, &below] {
        assert!(!client.opens(&api).await, "{}", client.id);
    }
    // A key may delete itself; the keys that it created end with it.
    let own = by_operator(&api).await;
    let made = own.make(&api).await;
    let itself = format!("/credentials/{}", own.id);
    let deleted = own.send(&api, "DELETE", &itself, json!(null)).await;
    assert_eq!(deleted.status, StatusCode::FORBIDDEN, "{}", deleted.json);
    let ended = own.send(&api, "POST", &format!("{itself}/archive"), json!({})).await;
    assert_eq!((ended.status, &ended.json["data"]["archived"]), (StatusCode::OK, &json!(true)));
    assert!(!own.opens(&api).await && !made.opens(&api).await);
}

#[tokio::test]
async fn an_idempotency_key_brings_no_deleted_pair_back() {
    let clock = TestClock::new(1_900_000_000_000);
    let api = ApiFixture::build_by(clock.clone()).await;
    let key = [("idempotency-key", "k")];
    let send = async || api.send("POST", "/api/v1/credentials", &key, "{}").await;
    let first = send().await;
    let client = Client::of(&first);
    assert_eq!(send().await.json, first.json, "the same request, the same answer");
    let path = format!("/api/v1/credentials/{}", client.id);
    assert_eq!(api.delete(&path).await.status, StatusCode::NO_CONTENT);
    let again = send().await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.json);
    assert!(again.json["data"].as_str().unwrap().contains("has been deleted since"));
    assert!(!client.opens(&api).await);

    clock.advance(LATER);
    let other = Client::of(&send().await);
    assert!(other.key != client.key && other.secret != client.secret);
    assert!(other.opens(&api).await && !client.opens(&api).await);
}

#[tokio::test]
async fn an_idempotency_key_rotates_to_a_new_secret_each_day() {
    let clock = TestClock::new(1_900_000_000_000);
    let api = ApiFixture::build_by(clock.clone()).await;
    api.project().await;
    let executor = json!({"name": "e", "webhookUrl": "http://localhost:1/"});
    assert_eq!(api.post("/executors", executor).await.status, StatusCode::CREATED);
    for path in ["/api/v1/projects/1/rotate-secret", "/api/v1/executors/1/rotate-secret"] {
        let key = [("idempotency-key", path)];
        let rotate = async || api.send("POST", path, &key, "{}").await;
        let first = rotate().await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.json);
        assert_eq!(rotate().await.json, first.json, "the same request, the same answer");
        clock.advance(LATER);
        let second = rotate().await;
        let secret =
            |answer: &Answer| answer.json["data"]["webhookSecret"].as_str().map(str::to_owned);
        assert!(secret(&first).is_some() && secret(&second).is_some(), "{path}");
        assert_ne!(secret(&first), secret(&second), "{path}: it rotates what it says it rotates");

        // A rotation to the present secret is refused; a repetition of the rotation to it is
        // answered.
        let given = json!({"webhookSecret": "a secret of the client's own"});
        let named = [("idempotency-key", "named")];
        let rotate = async |headers: &[(&str, &str)]| {
            api.send("POST", path, headers, given.to_string()).await
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
    let api = ApiFixture::build().await;
    let client = by_operator(&api).await;
    let headers = [&client.pair()[..], &[("idempotency-key", "k")]].concat();
    let send = async || api.send_bare("POST", "/api/v1/credentials", &headers, "{}").await;
    let (first, second) = (send().await, send().await);
    assert_eq!(first.json, second.json);
    assert!(Client::of(&first).opens(&api).await);
    // The same idempotency key of an operator is another one.
    let other = api.send("POST", "/api/v1/credentials", &[("idempotency-key", "k")], "{}").await;
    assert_ne!(Client::of(&other).key, Client::of(&first).key);
}
