//! Signing in and out, sessions at pages and at the API, and requests of other sites.

use std::time::Duration;

use axum::http::StatusCode;
use scheduler0::auth::link_token;
use scheduler0::clock::TestClock;
use scheduler0::secret::Keys;
use serde_json::json;

use super::browser::{Browser, text};
use crate::harness::ApiFixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_led_to_the_sign_in_and_back_to_where_it_wanted_to_go() {
    let api = ApiFixture::build().await;
    let browser = Browser::new(&api);
    assert_eq!(browser.get("/").await.header("location"), "/ui");
    let plain = browser.send("GET", "/", &[("accept", "application/json")], "").await;
    assert_eq!(plain.json["data"]["name"], "scheduler0", "a program gets the links");
    let answer = browser.get("/ui/jobs?q=label%3Aa%3Db").await;
    assert_eq!(answer.header("location"), "/ui/sign-in?next=%2Fui%2Fjobs%3Fq%3Dlabel%253Aa%253Db");
    assert_eq!(browser.get("/ui/jobs?part=jobs").await.status, StatusCode::UNAUTHORIZED);
    let fields = [("name", "node"), ("secret", "pass"), ("next", "/ui/jobs?q=a")];
    let answer = browser.post("/ui/sign-in", &fields).await;
    assert_eq!(answer.header("location"), "/ui/jobs?q=a");
    assert!(browser.page("/ui/jobs").await.contains("operator"));
    for bad in ["https://evil.example/", "//evil.example"] {
        let fields = [("name", "node"), ("secret", "pass"), ("next", bad)];
        assert_eq!(browser.post("/ui/sign-in", &fields).await.header("location"), "/ui", "{bad}");
    }
    browser.post("/ui/sign-out", &[]).await;
    assert_eq!(browser.get("/ui").await.header("location"), "/ui/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_and_tries_are_limited_by_name() {
    let api = ApiFixture::build().await;
    let browser = Browser::new(&api);
    let wrong = async |name: &str| {
        let answer = browser.post("/ui/sign-in", &[("name", name), ("secret", "wrong")]).await;
        assert!(browser.cookies.borrow().is_empty());
        answer
    };
    let answer = wrong("node").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(text(&answer).contains("The name or the secret is wrong."));
    for _ in 0..20 {
        wrong("node").await;
    }
    assert_eq!(wrong("node").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(wrong("s0_nobody").await.status, StatusCode::UNAUTHORIZED, "another name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_in_with_its_key_pair_and_is_out_when_it_is_archived() {
    let api = ApiFixture::build().await;
    let made = api.post("/credentials", json!({})).await;
    let made = &made.json["data"];
    let (key, secret) = (made["api_key"].as_str().unwrap(), made["api_secret"].as_str().unwrap());
    let browser = Browser::signed_in(&api, key, secret).await;
    let page = browser.page("/ui/jobs").await;
    assert!(page.contains("key 1") && !page.contains("href=\"/ui/cluster\""), "no dead end");
    let whoami = browser.get("/api/v1/whoami").await.json["data"].clone();
    assert_eq!((&whoami["kind"], &whoami["apiKey"]), (&json!("key"), &json!(key)));
    assert!(whoami["expiresAt"].as_str().unwrap().ends_with('Z'), "a session ends: {whoami}");
    let forbidden = browser.get("/ui/cluster").await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    assert!(text(&forbidden).contains("You may not do this"));
    let answer = api.send("POST", "/credentials/1/archive", &[], "{}").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert_eq!(browser.get("/ui/jobs").await.header("location"), "/ui/sign-in?next=%2Fui%2Fjobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_tampered_with_or_is_of_another_cluster_is_none() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let (name, value) = browser.session();
    let mut broken = value.clone();
    let other = if broken.ends_with('A') { "B" } else { "A" };
    broken.replace_range(broken.len() - 1.., other);
    let strange = Keys::new(&"cd".repeat(32), "node", "pass").unwrap();
    let foreign = strange.seal("{\"key\":null,\"mark\":null,\"expires\":9e15,\"id\":1}", "session");
    for bad in [broken.as_str(), &foreign.0, "", "x"] {
        browser.cookies.borrow_mut().insert(name.clone(), bad.to_owned());
        assert_eq!(browser.get("/ui").await.header("location"), "/ui/sign-in", "{bad}");
    }
    browser.cookies.borrow_mut().insert(name, value);
    assert_eq!(browser.get("/ui").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_the_command_line_signs_in_once() {
    let api = ApiFixture::build().await;
    let browser = Browser::new(&api);
    let keys = Keys::new(&"ab".repeat(32), "node", "pass").unwrap();
    let token = link_token(&keys, api.app.now());
    assert!(browser.page("/ui/enter").await.contains("id=\"enter\""));
    let answer = browser.post("/ui/enter", &[("token", &token)]).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/ui"));
    assert_eq!(browser.get("/ui").await.status, StatusCode::OK);
    let again = Browser::new(&api);
    let answer = again.post("/ui/enter", &[("token", &token)]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let old = link_token(&keys, api.app.now() - 61_000);
    let answer = again.post("/ui/enter", &[("token", &old)]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_needs_a_page_of_this_site() {
    let api = ApiFixture::build().await;
    let project = api.project().await;
    let job = json!([{"project_id": project, "spec": "@daily", "timezone": "UTC", "callback_url": "http://a.example/"}]);
    assert_eq!(api.post("/jobs", job).await.status, StatusCode::ACCEPTED);
    let browser = Browser::operator(&api).await;
    let delete = "/ui/jobs/1/delete";
    for from in [
        &[][..],
        &[("origin", "http://evil.example")],
        &[("origin", "http://localhost:9092")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:9091")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
    ] {
        let answer = browser.post_from(delete, &[], from).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{from:?}");
        assert!(text(&answer).contains("does not come from a page of this node"), "{from:?}");
    }
    // Signing in is refused as well: another site could sign a person in as somebody else.
    let fields = [("name", "node"), ("secret", "pass")];
    let answer = browser.post_from("/ui/sign-in", &fields, &[("origin", "http://b")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(api.get("/jobs/1").await.status, StatusCode::OK, "it is still there");
    let answer = browser.post_from(delete, &[], &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(api.get("/jobs/1").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_takes_a_session_by_the_same_rule() {
    let api = ApiFixture::build().await;
    let browser = Browser::operator(&api).await;
    let statuses = async |method: &str, headers: &[(&str, &str)]| {
        let body = if method == "POST" { "{\"name\": \"p\", \"description\": \"d\"}" } else { "" };
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        browser.send(method, "/api/v1/projects", &all, body).await.status
    };
    assert_eq!(statuses("GET", &[]).await, StatusCode::OK);
    assert_eq!(statuses("GET", &[("sec-fetch-site", "same-origin")]).await, StatusCode::OK);
    for foreign in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")] {
        assert_eq!(statuses("GET", &[foreign]).await, StatusCode::UNAUTHORIZED, "{foreign:?}");
        assert_eq!(statuses("POST", &[foreign]).await, StatusCode::UNAUTHORIZED, "{foreign:?}");
    }
    assert_eq!(statuses("POST", &[]).await, StatusCode::UNAUTHORIZED);
    let own = ("origin", "http://localhost:9091");
    assert_eq!(statuses("POST", &[own]).await, StatusCode::CREATED);
    browser.post("/ui/sign-out", &[]).await;
    assert_eq!(statuses("GET", &[]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_ends_all_sessions_of_one_name_and_no_other() {
    let api = ApiFixture::build().await;
    let made = api.post("/credentials", json!({})).await;
    let made = &made.json["data"];
    let (key, secret) = (made["api_key"].as_str().unwrap(), made["api_secret"].as_str().unwrap());
    let (desk, phone) = (Browser::operator(&api).await, Browser::operator(&api).await);
    let client = Browser::signed_in(&api, key, secret).await;
    let is_in = async |browser: &Browser<'_>| browser.get("/ui").await.status == StatusCode::OK;
    assert!(is_in(&desk).await && is_in(&phone).await && is_in(&client).await);
    assert!(desk.page("/ui").await.contains("Sign out everywhere"));
    let answer = desk.post("/ui/sign-out-everywhere", &[]).await;
    assert_eq!(answer.header("location"), "/ui/sign-in");
    assert!(!is_in(&desk).await && !is_in(&phone).await, "the cookie of the other is over, too");
    assert!(is_in(&client).await, "another name");
    let again = Browser::operator(&api).await;
    assert!(is_in(&again).await, "at once");
    // By the API, and by whoever reaches the credential.
    let second = Browser::signed_in(&api, key, secret).await;
    let answer = api.post("/sessions/end", json!({"credentialId": 1})).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.json);
    assert!(!is_in(&client).await && !is_in(&second).await && is_in(&again).await);
    let third = Browser::signed_in(&api, key, secret).await;
    assert!(is_in(&third).await);
    let pair = [("x-api-key", key), ("x-secret-key", secret)];
    let answer = api.send_bare("POST", "/sessions/end", &pair, "{}").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.json);
    assert!(!is_in(&third).await && is_in(&again).await, "its own");
    let answer = api.post("/sessions/end", json!({"credentialId": 9})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = api.post("/sessions/end", json!({"credentialId": "x"})).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_nobody_has_used_it_for_an_hour() {
    const MINUTE: Duration = Duration::from_mins(1);
    let clock = TestClock::new(1_900_000_000_000);
    let api = ApiFixture::build_by(clock.clone()).await;
    let browser = Browser::operator(&api).await;
    let is_in = async || browser.get("/ui").await.status == StatusCode::OK;
    let (_, begun) = browser.session();
    assert!(is_in().await);
    assert_eq!(browser.session().1, begun, "its cookie is new");
    for _ in 0..3 {
        let (_, before) = browser.session();
        clock.advance(59 * MINUTE);
        assert!(is_in().await);
        assert_ne!(browser.session().1, before, "it was used, and its cookie is made anew");
    }
    // What was copied from it before ends by itself.
    let (name, now) = browser.session();
    browser.cookies.borrow_mut().insert(name.clone(), begun);
    assert!(!is_in().await);
    browser.cookies.borrow_mut().insert(name, now);
    clock.advance(60 * MINUTE);
    assert!(!is_in().await, "nobody used it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_cookie_is_worth_nothing_once_its_owner_has_signed_out() {
    let api = ApiFixture::build().await;
    let (owner, other) = (Browser::operator(&api).await, Browser::operator(&api).await);
    let (name, stolen) = owner.session();
    let thief = Browser::new(&api);
    thief.cookies.borrow_mut().insert(name, stolen);
    assert_eq!(thief.get("/ui").await.status, StatusCode::OK);
    assert_eq!(owner.post("/ui/sign-out", &[]).await.header("location"), "/ui/sign-in");
    assert!(owner.cookies.borrow().is_empty(), "{:?}", owner.cookies);
    assert_eq!(thief.get("/ui").await.header("location"), "/ui/sign-in");
    assert_eq!(thief.get("/api/v1/jobs").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(other.get("/ui").await.status, StatusCode::OK, "another session of the same name");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_every_node_knows_how_a_sign_out_says_that_it_ends_the_session_here_only() {
    let clock = TestClock::new(1_900_000_000_000);
    let api = ApiFixture::build_at_level(clock, 6).await;
    let browser = Browser::operator(&api).await;
    let answer = browser.post("/ui/sign-out", &[]).await;
    assert!(text(&answer).contains("During the upgrade"), "{}", text(&answer));
    assert!(browser.cookies.borrow().is_empty());
    assert_eq!(browser.get("/ui").await.header("location"), "/ui/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_over_plain_http_from_another_machine() {
    let api = ApiFixture::build().await;
    let keys = Keys::new(&"ab".repeat(32), "node", "pass").unwrap();
    let browser = Browser::new(&api);
    let token = link_token(&keys, api.app.now());
    let far = [("origin", "http://node1.example:9091"), ("host", "node1.example:9091")];
    for (path, fields) in [
        ("/ui/sign-in", vec![("name", "node"), ("secret", "pass")]),
        ("/ui/enter", vec![("token", token.as_str())]),
    ] {
        let answer = browser.post_from(path, &fields, &far).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        let page = text(&answer);
        assert!(page.contains("AllowInsecureSignIn") && !page.contains("pass\""), "{page}");
        assert!(browser.cookies.borrow().is_empty(), "{path}");
    }
    // By https the same host is fine, whatever the proxy in front of the node.
    let fields = [("name", "node"), ("secret", "pass")];
    let near = [("origin", "https://node1.example"), ("host", "node1.example")];
    let answer = browser.post_from("/ui/sign-in", &fields, &near).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", text(&answer));
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-s0_") && cookie.ends_with("; Secure"), "{cookie}");
    assert_eq!(browser.get("/ui").await.status, StatusCode::OK);
    browser.post_from("/ui/sign-out", &[], &near).await;
    assert!(browser.cookies.borrow().is_empty(), "{:?}", browser.cookies);
}
