//! Keys that are bound to projects: how they are made and changed, what they may give, and what
//! belongs to their principal alone.

use serde_json::{Value, json};

use super::world::{Key, World};
use crate::harness::ApiFixture;
use scheduler0::clock::TestClock;

#[tokio::test]
async fn a_key_is_bound_and_freed_and_the_change_holds_at_once() {
    let world = World::new().await;
    let (api, key) = (&world.api, &world.own_key);
    let (own, other) = (world.own.project, world.other.project);
    let shown = api.get(&format!("/api/v1/credentials/{}", key.id)).await;
    assert_eq!(shown.json["data"]["projects"], json!([own]));
    let told = key.send(api, "GET", "/api/v1/whoami", "").await;
    assert_eq!(told.json["data"]["projects"], json!([own]));
    let names = async || {
        let listed = key.send(api, "GET", "/api/v1/projects?orderBy=id", "").await;
        let total = listed.json["data"]["total"].clone();
        let all = listed.json["data"]["projects"].as_array().unwrap().iter();
        (total, all.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(names().await, (json!(1), vec!["alfa".to_owned()]));
    let change = async |body: Value| {
        let path = format!("/api/v1/credentials/{}", key.id);
        api.send("PATCH", &path, &[], body.to_string()).await
    };
    let both = change(json!({"projects": [other, own, own]})).await;
    assert_eq!(both.json["data"]["projects"], json!([own, other]), "{}", both.json);
    assert_eq!(names().await.1, ["alfa", "bravo"]);
    // A field that is not named stays.
    assert_eq!(change(json!({"name": "n"})).await.json["data"]["projects"], json!([own, other]));
    let freed = change(json!({"projects": null})).await;
    assert!(freed.json["data"].get("projects").is_none(), "{}", freed.json);
    assert_eq!(names().await.0, 2);
    assert_eq!(change(json!({"projects": [other]})).await.status, 200);
    assert_eq!(names().await.1, ["bravo"]);
    for (body, part) in [
        (json!({"projects": []}), "1 to 64"),
        (json!({"projects": [987_654]}), "project with id 987654 does not exist"),
        (json!({"projects": 1}), "list of ids"),
        (json!({"projects": [own], "scopes": ["cluster:read"]}), "cannot have the scopes"),
    ] {
        let refused = change(body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.json);
        assert_eq!(refused.json["error"]["field"], "projects", "{body}");
        let message = refused.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{body}: {message}");
    }
}

#[tokio::test]
async fn a_bound_key_gives_and_changes_nothing_beyond_its_projects() {
    let world = World::new().await;
    let (api, key) = (&world.api, &world.own_key);
    let (own, other) = (world.own.project, world.other.project);
    let count = api.get("/api/v1/credentials").await.json["data"]["total"].clone();
    for body in [
        json!({}),
        json!({"projects": null}),
        json!({"projects": [other]}),
        json!({"projects": [own, other]}),
        json!({"projects": [987_654]}),
        json!({"projects": [own, 987_654]}),
    ] {
        let refused = key.send(api, "POST", "/api/v1/credentials", &body.to_string()).await;
        assert_eq!(refused.status, 403, "{body}: {}", refused.json);
        let message = refused.json["data"].as_str().unwrap().to_owned();
        assert!(message.contains("projects must be among its own"), "{body}: {message}");
    }
    let itself = format!("/api/v1/credentials/{}", key.id);
    for body in [json!({"projects": null}), json!({"projects": [other]})] {
        let refused = key.send(api, "PATCH", &itself, &body.to_string()).await;
        assert_eq!(refused.status, 403, "{body}: {}", refused.json);
    }
    assert_eq!(api.get("/api/v1/credentials").await.json["data"]["total"], count);
    let body = json!({"projects": [own]}).to_string();
    let made = key.send(api, "POST", "/api/v1/credentials", &body).await;
    let child = Key::of(&made);
    // The operator gives the child more: its maker does not touch it any more.
    let wider = json!({"projects": [own, other]}).to_string();
    let path = format!("/api/v1/credentials/{}", child.id);
    assert_eq!(api.send("PATCH", &path, &[], &wider).await.status, 200);
    for (method, path, body) in [
        ("POST", format!("{path}/rotate"), "{}"),
        ("PATCH", path.clone(), r#"{"name":"n"}"#),
        ("DELETE", path.clone(), ""),
    ] {
        let refused = key.send(api, method, &path, body).await;
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.json);
        assert!(refused.json["data"].as_str().unwrap().contains("more than it has"));
    }
}

#[tokio::test]
async fn results_by_the_minute_and_queues_show_what_is_in_reach() {
    let world = World::new().await;
    let (api, key) = (&world.api, &world.own_key);
    let (own, other) = (world.own.project, world.other.project);
    let rates = async |query: &str| {
        let answer = key.send(api, "GET", &format!("/api/v1/rates{query}"), "").await;
        assert_eq!(answer.status, 200, "{}", answer.json);
        answer.json["data"].clone()
    };
    let all = rates("").await.to_string();
    assert!(!all.contains(&format!("\"projectId\":{other}")), "{all}");
    let (mine, theirs) =
        (rates(&format!("?projectId={own}")).await, rates(&format!("?projectId={other}")).await);
    let never = rates("?projectId=987654").await;
    assert_eq!(theirs["points"], never["points"]);
    assert_eq!(mine["begin"].is_null(), never["begin"].is_null());
    // Queues are of the account; what waits in them is of all projects, and is not shown.
    let queues = key.send(api, "GET", "/api/v1/queues", "").await;
    assert_eq!(queues.json["data"]["total"], 1, "{}", queues.json);
    let claim = json!({"workerId": "w", "queues": ["emails"], "wait": "0s"}).to_string();
    let refused = key.send(api, "POST", "/api/v1/workers/claim", &claim).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json["error"]["code"]),
        (403, &json!("forbidden"))
    );
}

#[tokio::test]
async fn tasks_and_idempotency_keys_are_of_their_principal() {
    let world = World::new().await;
    let (api, own, other) = (&world.api, &world.own_key, &world.other_key);
    let once = [("idempotency-key", "same")];
    let jobs = |project| super::bodies::jobs(project, "again");
    let first = own.send_with(api, "POST", "/api/v1/jobs", &once, &jobs(world.own.project)).await;
    let second =
        other.send_with(api, "POST", "/api/v1/jobs", &once, &jobs(world.other.project)).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    let (mine, its) = (first.header("location"), second.header("location"));
    assert_ne!(mine, its);
    let task =
        |location: &str| format!("/api/v1/async-tasks/{}", location.rsplit('/').next().unwrap());
    assert_eq!(own.send(api, "GET", &task(mine), "").await.status, 200);
    let refused = own.send(api, "GET", &task(its), "").await;
    assert_eq!(refused.status, 404, "{}", refused.json);
    // One of both sides, by a key that reaches both, is of neither alone.
    let wide = Key::with(api, json!({})).await;
    let body = jobs(world.own.project).replace("again", "wide");
    let mixed = format!("[{}]", {
        let body = body.trim_matches(['[', ']']).to_owned();
        let there = jobs(world.other.project).replace("again", "wide");
        format!("{body},{}", there.trim_matches(['[', ']']))
    });
    let made = wide.send(api, "POST", "/api/v1/jobs", &mixed).await;
    assert_eq!(made.status, 202, "{}", made.json);
    let path = task(made.header("location"));
    assert_eq!(wide.send(api, "GET", &path, "").await.status, 200);
    for key in [own, other] {
        assert_eq!(key.send(api, "GET", &path, "").await.status, 404);
    }
}

#[tokio::test]
async fn a_bound_key_waits_for_the_level_of_all_members() {
    let api = ApiFixture::build_at_level(TestClock::new(1_900_000_000_000), 6).await;
    let project = api.project().await;
    let plain = api.post("/api/v1/credentials", json!({"scopes": ["*"]})).await;
    assert_eq!(plain.status, 201, "{}", plain.json);
    for (method, path) in [("POST", "/api/v1/credentials"), ("PATCH", "/api/v1/credentials/1")] {
        let body = json!({"projects": [project]}).to_string();
        let answer = api.send(method, path, &[], body).await;
        assert_eq!(answer.status, 409, "{method}: {}", answer.json);
        assert_eq!(answer.json["error"]["code"], "upgrade_pending");
    }
    // A key without projects goes on as it did.
    let key = Key::of(&plain);
    let job = super::bodies::jobs(project, "x").replace("\"executorId\":1,", "");
    let job = job.replace("@every 1m\"", "@every 1m\",\"callbackUrl\":\"http://localhost:3/\"");
    let made = key.send(&api, "POST", "/api/v1/jobs", &job).await;
    assert_eq!(made.status, 202, "{}", made.json);
}
