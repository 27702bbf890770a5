//! The event stream: the same ids on all nodes, readers that go on at another node, resets, limits,
//! and readers that take nothing.

mod of_reach;
mod of_template;
mod reader;

use serde_json::{Value, json};

use crate::harness::{Receiver, TestCluster};
use crate::hostile::{Port, RawConnection};
use reader::{Event, EventReader, OPERATOR, readers};

/// Creates a client's key; its headers.
async fn key(cluster: &TestCluster, node: u64) -> (u64, [(&'static str, String); 2]) {
    let (status, made) = cluster.post(node, "/api/v1/credentials", &json!({})).await;
    assert_eq!(status, 201, "{made}");
    let text = |name: &str| made["data"][name].as_str().unwrap().to_owned();
    let id = made["data"]["id"].as_u64().unwrap();
    (id, [("x-api-key", text("apiKey")), ("x-secret-key", text("apiSecret"))])
}

async fn open_as(
    cluster: &TestCluster,
    node: u64,
    key: &[(&'static str, String); 2],
) -> Result<EventReader, (u16, Value)> {
    let headers = key.each_ref().map(|(name, value)| (*name, value.as_str()));
    EventReader::ask(&cluster.url(node, "/v1/events"), &headers, None).await
}

/// A stream of the operator's browser, which has a session and no password.
async fn open_by_session(cluster: &TestCluster) -> EventReader {
    let site = cluster.url(1, "");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.no_proxy().build().unwrap();
    let request = client.post(format!("{site}/ui/sign-in")).header("origin", &site);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.body("name=admin&secret=admin-password").send().await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    let cookie = cookie.split(';').next().unwrap();
    let url = cluster.url(1, "/v1/events?types=executor_changed");
    EventReader::ask(&url, &[("cookie", cookie)], None).await.unwrap_or_else(|e| panic!("{e:?}"))
}

fn every_hour(project: u64) -> Value {
    json!({
        "projectId": project, "spec": "@every 1h", "timezone": "UTC", "executionType": "http",
        "callbackUrl": "http://127.0.0.1:9/",
    })
}

/// The ids of projects in events about them.
fn projects(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.data["id"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_give_the_same_events_the_same_ids() {
    let cluster = TestCluster::start(3).await;
    let mut streams = Vec::new();
    for node in 1..=3 {
        streams.push(EventReader::open(&cluster, node, "", None).await);
    }
    let project = cluster.project(1, "p").await;
    let jobs = vec![every_hour(project); 100];
    let jobs = cluster.jobs(2, &Value::from(jobs)).await;
    let first = jobs[0]["id"].as_u64().unwrap();
    let ids = json!({"filter": {"ids": [first, first + 1, first + 7]}});
    assert_eq!(cluster.post(3, "/v1/jobs/pause", &ids).await.0, 200);
    assert_eq!(cluster.post(1, "/v1/jobs/delete", &ids).await.0, 200);
    let last = cluster.project(2, "last").await;

    let mut seen = Vec::new();
    for stream in &mut streams {
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Event| {
            event.kind != "project_changed" || event.data["id"] != json!(last)
        }) {
            let event = stream.next_fact().await;
            // What a node sees by itself has no id, and each begins where it was opened.
            if event.id.is_some() && (!events.is_empty() || event.kind == "project_changed") {
                events.push(event);
            }
        }
        seen.push(events);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    let kinds = ["project_changed", "job_created", "job_updated", "job_deleted"];
    for kind in kinds {
        assert!(seen[0].iter().any(|event| event.kind == kind), "{kind}: {:?}", seen[0]);
    }
    let paused = seen[0].iter().find(|event| event.kind == "job_updated").unwrap();
    let ranges = json!([[first, 2], [first + 7, 1]]);
    assert_eq!((&paused.data["jobs"], &paused.data["what"]), (&ranges, &json!("paused")));
    let created = seen[0].iter().find(|event| event.kind == "job_created").unwrap();
    assert_eq!(created.data["jobs"], json!([[first, 100]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_hops_over_three_nodes_and_sees_each_event_once_and_in_order() {
    let mut cluster = TestCluster::start(3).await;
    let query = "?types=project_changed";
    let mut stream = EventReader::open(&cluster, 1, query, None).await;
    let mut seen = Vec::new();
    let mut written = 0;
    let write = async |cluster: &TestCluster, written: &mut u64, count: u64| {
        for _ in 0..count {
            *written += 1;
            cluster.project_again(3, &format!("p{written}")).await;
        }
    };
    write(&cluster, &mut written, 20).await;
    for _ in 0..10 {
        seen.push(stream.next_fact().await);
    }
    // The node dies with ten events that its reader has not taken. More come before it is back.
    cluster.kill(1);
    write(&cluster, &mut written, 20).await;
    let last = seen.last().unwrap().id.clone();
    let mut stream = EventReader::open(&cluster, 2, query, last.as_deref()).await;
    for _ in 0..20 {
        seen.push(stream.next_fact().await);
    }
    cluster.restart(1).await;
    cluster.kill(2);
    write(&cluster, &mut written, 10).await;
    let last = seen.last().unwrap().id.clone();
    let mut stream = EventReader::open(&cluster, 3, query, last.as_deref()).await;
    while seen.len() < 50 {
        seen.push(stream.next_fact().await);
    }
    assert!(seen.iter().all(|event| event.kind == "project_changed"), "{seen:?}");
    assert_eq!(projects(&seen), (1..=50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_place_is_gone_is_reset_and_goes_on() {
    // Room for some hundred events.
    let settings = [("SCHEDULER0_EVENT_BUFFER_MB", "0.02")];
    let mut cluster = TestCluster::start_with(1, &settings).await;
    let stream = EventReader::open(&cluster, 1, "", None).await;
    let old = stream.last_id.clone();
    for n in 0..200 {
        cluster.project(1, &format!("p{n}")).await;
    }
    let mut late = EventReader::open(&cluster, 1, "", Some(&old)).await;
    let reset = late.next_fact().await;
    let said = (&reset.data["reason"], &reset.data["from"]);
    assert_eq!((reset.kind.as_str(), said), ("reset", (&json!("expired"), &json!(old))));
    assert_eq!(reset.data["to"], json!(reset.id));
    let id = cluster.project(1, "after the reset").await;
    let event = late.until("project_changed").await;
    assert_eq!(event.data["id"], json!(id), "nothing of what was lost comes");

    // The place right behind the last event is there.
    let before = late.last_id.clone();
    let id = cluster.project(1, "one more").await;
    let mut soon = EventReader::open(&cluster, 1, "", Some(&before)).await;
    assert_eq!(soon.next_fact().await.data["id"], json!(id));

    // Another log, and a node that has just started and knows nothing of before.
    let mut other = EventReader::open(&cluster, 1, "?after=00000000-5.0", None).await;
    assert_eq!(other.next_fact().await.data["reason"], "lineage");
    cluster.kill(1);
    cluster.restart(1).await;
    let mut restarted = EventReader::open(&cluster, 1, "", Some(&old)).await;
    assert_eq!(restarted.next_fact().await.data["reason"], "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_named_has_its_attempts_one_by_one() {
    let cluster = TestCluster::start(1).await;
    let receiver = Receiver::start().await;
    let project = cluster.project(1, "p").await;
    let mut all = EventReader::open(&cluster, 1, "?types=executions", None).await;
    let job = json!({
        "projectId": project, "after": "2s", "executionType": "http", "timezone": "UTC",
        "externalId": "mine", "callbackUrl": receiver.url(),
    });
    let other = every_hour(project);
    let jobs = cluster.jobs(1, &json!([other, job])).await;
    let id = jobs[1]["id"].as_u64().unwrap();
    let mut own = EventReader::open(&cluster, 1, &format!("?job={id}"), None).await;
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let event = own.next_fact().await;
        match event.kind.as_str() {
            "execution" => {
                let of = (&event.data["jobId"], &event.data["status"], &event.data["attempt"]);
                assert_eq!(of, (&json!(id), &json!("delivered"), &json!(1)));
            }
            "job_terminated" => {
                assert_eq!(event.data["state"], "delivered");
                assert_eq!(event.data["jobs"], json!([[id, 1]]));
                let job = &event.data["job"];
                assert_eq!(
                    (&job["externalId"], &job["status"]),
                    (&json!("mine"), &json!("completed"))
                );
            }
            _ => panic!("{event:?}"),
        }
        kinds.push(event.kind);
    }
    assert_eq!(kinds, ["execution", "job_terminated"]);
    let sum = all.next_fact().await;
    assert_eq!(sum.data["projects"], json!([{"projectId": project, "delivered": 1}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn beats_carry_a_reader_over_what_it_does_not_see_and_end_one_whose_key_is_not_what_it_was() {
    let cluster = TestCluster::start(1).await;
    let (id, own) = key(&cluster, 1).await;
    let mut client = open_as(&cluster, 1, &own).await.unwrap_or_else(|e| panic!("{e:?}"));
    let (narrowed, pair) = key(&cluster, 1).await;
    let mut narrow = open_as(&cluster, 1, &pair).await.unwrap_or_else(|e| panic!("{e:?}"));
    let mut session = open_by_session(&cluster).await;
    let mut hidden = EventReader::open(&cluster, 1, "?types=executor_changed", None).await;
    let begun = hidden.last_id.clone();
    cluster.project(1, "hidden").await;
    let (status, body) =
        cluster.post(1, &format!("/v1/credentials/{id}/archive"), &json!({})).await;
    assert!((200..300).contains(&status), "{body}");
    let less = cluster.http().patch(cluster.url(1, &format!("/v1/credentials/{narrowed}")));
    let less = less.json(&json!({"scopes": ["jobs:read"]})).send().await.unwrap();
    assert_eq!(less.status().as_u16(), 200);
    let (status, body) = cluster.post(1, "/v1/sessions/end", &json!({})).await;
    assert!((200..300).contains(&status), "{body}");
    let beat = hidden.next().await.unwrap();
    assert_eq!(beat.kind, "beat");
    assert!(beat.data["at"].is_string());
    let place =
        |id: &str| id.split_once('-').unwrap().1.split_once('.').unwrap().0.parse::<u64>().unwrap();
    assert!(place(&hidden.last_id) > place(&begun), "{} after {begun}", hidden.last_id);
    let events = client.rest().await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"hello"), Some(&"bye")));
    let ended = narrow.rest().await;
    assert_eq!(ended.last().map(|event| event.kind.as_str()), Some("bye"), "it lost a scope");
    let ended = session.rest().await;
    assert_eq!(ended.last().map(|event| event.kind.as_str()), Some("bye"), "its session is over");
    // A client may not read the status of the cluster.
    let hello = &events[0].data;
    assert!(hello["nodeId"].is_u64(), "{hello}");
    assert!(["term", "leader", "members"].iter().all(|field| hello[field].is_null()), "{hello}");
    assert!(!kinds.contains(&"members_changed") && !kinds.contains(&"leader_changed"), "{kinds:?}");
    let (_, other) = key(&cluster, 1).await;
    let headers = other.each_ref().map(|(name, value)| (*name, value.as_str()));
    let url = cluster.url(1, "/v1/events?types=job_created,shards_moved");
    let Err((status, body)) = EventReader::ask(&url, &headers, None).await else {
        panic!("a client reads events of the cluster")
    };
    assert_eq!(status, 403, "{body}");
}

/// Jobs of 16 projects that take turns: each is a range of its own when all are changed at once.
async fn interleaved_jobs(cluster: &TestCluster, count: usize) -> Vec<u64> {
    let mut projects = Vec::new();
    for n in 0..16 {
        projects.push(cluster.project(1, &format!("p{n}")).await);
    }
    let jobs: Vec<_> = (0..count).map(|n| every_hour(projects[n % projects.len()])).collect();
    let made = cluster.jobs(1, &Value::from(jobs)).await;
    made.iter().map(|job| job["id"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_closed_and_others_are_not() {
    const JOBS: usize = 16 * 64;
    let cluster = TestCluster::start(1).await;
    let jobs = interleaved_jobs(&cluster, JOBS).await;
    let mut stalled = RawConnection::narrow(Port::Api.of(&cluster, 1)).await.unwrap();
    let [peer, password] = OPERATOR.map(|(name, value)| format!("{name}: {value}"));
    let request = format!("GET /events HTTP/1.1\r\nhost: x\r\n{peer}\r\n{password}\r\n\r\n");
    stalled.send(request).await.unwrap();
    let mut awake = EventReader::open(&cluster, 1, "?types=job_updated", None).await;
    readers(&cluster, 1, 2).await;
    // Some megabytes, more than the buffers between the two.
    let all = json!({"filter": {"ids": jobs}});
    for action in ["pause", "resume"].into_iter().cycle().take(200) {
        let (status, body) = cluster.post(1, &format!("/v1/jobs/{action}"), &all).await;
        assert_eq!((status, &body["data"]["changed"]), (200, &json!(JOBS)), "{body}");
        let mut ranges = 0;
        while ranges < JOBS {
            let event = awake.next_fact().await;
            let named = event.data["jobs"].as_array().unwrap();
            assert!(named.iter().all(|range| range[1] == 1), "{event:?}");
            ranges += named.len();
        }
        assert_eq!(ranges, JOBS);
    }
    readers(&cluster, 1, 1).await;
    let one = json!({"filter": {"ids": [jobs[0]]}});
    assert_eq!(cluster.post(1, "/v1/jobs/pause", &one).await.0, 200);
    assert_eq!(awake.next_fact().await.data["what"], "paused");
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_all_streams_and_a_client_has_a_bounded_number_of_them() {
    let mut cluster = TestCluster::start(1).await;
    let mut streams = Vec::new();
    for n in 0..7 {
        let (_, own) = key(&cluster, 1).await;
        let most = if n == 6 { 8 } else { 32 };
        for _ in 0..most {
            streams.push(open_as(&cluster, 1, &own).await.unwrap_or_else(|e| panic!("{e:?}")));
        }
        if most == 32 {
            let Err((status, body)) = open_as(&cluster, 1, &own).await else {
                panic!("33 streams of one client")
            };
            assert_eq!((status, &body["error"]["code"]), (429, &json!("too_many")), "{body}");
        }
    }
    assert_eq!(streams.len(), 200);
    readers(&cluster, 1, 200).await;
    // Places are free again when their readers are gone.
    streams.truncate(150);
    readers(&cluster, 1, 150).await;
    let stopped = cluster.stop(1);
    let ends = async {
        for stream in &mut streams {
            let events = stream.rest().await;
            assert_eq!(events.last().map(|event| event.kind.as_str()), Some("bye"));
        }
    };
    let (code, ()) = tokio::join!(stopped, ends);
    assert_eq!(code, Some(0));
}
