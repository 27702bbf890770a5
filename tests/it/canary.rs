//! No secret leaves the place that it was given to: random ones in every place of a cluster of
//! three are searched in all answers, pages, metrics, logs, files, snapshots and backups, in clear,
//! in base64, in hexadecimal and percent-encoded.

mod kept;
mod needle;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::future::join_all;
use serde_json::{Value, json};

use self::kept::Kept;
use self::needle::Needles;
use crate::harness::{PATIENCE, Receiver, TestCluster, now};
use crate::oidc::provider::Provider;
use crate::oidc::signer::{Signer, claims};

/// A text that is no secret: it is found, or the search finds nothing.
const CONTROL: &str = "a-text-that-is-no-secret";
/// The most pages of the web UI that are opened.
const MOST_PAGES: usize = 400;

/// The headers of a caller.
type Caller<'a> = Vec<(&'static str, &'a str)>;

/// What was searched, and what is in it.
struct Search {
    needles: Needles,
    hits: BTreeSet<String>,
}

impl Search {
    fn look(&mut self, place: &str, text: &[u8]) {
        for name in self.needles.found(text) {
            self.hits.insert(format!("{name}: in {place}"));
        }
    }

    /// Looks at the name and the contents of every file below a folder; returns how many have the
    /// control text.
    fn look_at_files(&mut self, folder: &Path) -> usize {
        let mut with_control = 0;
        // A node may have removed it meanwhile.
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            self.look("the name of a file", name.as_bytes());
            if path.is_dir() {
                with_control += self.look_at_files(&path);
                continue;
            }
            // A node may have removed it meanwhile.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            with_control += usize::from(has_control(&bytes));
            self.look(&name, &bytes);
        }
        with_control
    }
}

fn has_control(bytes: &[u8]) -> bool {
    bytes.windows(CONTROL.len()).any(|window| window == CONTROL.as_bytes())
}

/// A request as a caller; status and body.
async fn ask(
    method: &str,
    url: &str,
    caller: &[(&'static str, &str)],
    body: String,
) -> (u16, String) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    // A redirection is an answer.
    let none = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder().redirect(none).no_proxy().build().unwrap();
    let mut request = http.request(method, url).body(body);
    for (name, value) in caller {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let mut text = format!("{:?}\n", answer.headers());
    // A stream has no end: its begin is enough.
    let is_stream = text.contains("\"text/event-stream");
    let mut body = answer.bytes_stream();
    let begin = async {
        use futures_util::StreamExt as _;
        while let Some(Ok(part)) = body.next().await {
            text.push_str(&String::from_utf8_lossy(&part));
            if is_stream {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, begin).await.expect("an answer ends, or is a stream");
    (status, text)
}

/// Creates something; returns the answer's data.
async fn create(url: &str, caller: &[(&'static str, &str)], body: &Value) -> Value {
    let mut caller = caller.to_vec();
    caller.extend([("content-type", "application/json"), ("prefer", "return=representation")]);
    let (status, text) = ask("POST", url, &caller, body.to_string()).await;
    assert!((200..300).contains(&status), "{url} {body}: {text}");
    let json = text.split_once('\n').unwrap().1;
    serde_json::from_str::<Value>(json).unwrap_or_default()["data"].clone()
}

/// The paths of all reads of the API, with an id of something that is there.
fn reads(execution: &str, letter: u64) -> Vec<String> {
    let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let readable = paths.iter().filter(|(_, methods)| methods.get("get").is_some());
    let mut all = Vec::new();
    for (path, _) in readable {
        let ids: Vec<String> = match path.split('/').nth(1).unwrap() {
            "executions" => vec![execution.replace('/', "%2F")],
            "dead-letters" => vec![letter.to_string()],
            "runs" | "async-tasks" => vec!["1".to_owned(), "x".to_owned()],
            _ => (1..=8).map(|id| id.to_string()).collect(),
        };
        if path.contains('{') {
            let begin = path.split('{').next().unwrap();
            let end = path.split_once('}').unwrap().1.replace("{external}", "canary");
            all.extend(ids.iter().map(|id| format!("{begin}{id}{end}")));
        } else {
            all.push(path.clone());
        }
    }
    let at = scheduler0::model::time::rfc3339(now());
    all.extend((1..=8).map(|job| format!("/jobs/{job}/explain?at={at}")));
    all
}

/// The addresses of the web UI that a page links to.
fn links(page: &str) -> Vec<String> {
    let parts = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let own = parts.filter(|link| link.starts_with("/ui") && !link.contains("/assets/"));
    own.map(|link| link.replace("&amp;", "&").split('#').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(feature = "slow"), ignore = "slow")]
async fn no_secret_is_found_anywhere_but_in_the_answer_that_makes_it() {
    let mut kept = Kept::default();
    let receiver = Receiver::start().await;
    let (batches, calls) = (receiver.url(), receiver.at("/call"));
    let signer = Signer::new("a", "EdDSA");
    let provider = Provider::start(&[&signer]).await;
    let issuers = json!([{"issuer": provider.issuer(), "audiences": ["scheduler0"],
        "clientId": "cli", "allowCluster": true}])
    .to_string();
    let (key, password) = (kept.make_hex("SecretKey"), kept.make("AuthPassword"));
    let settings = [
        ("SCHEDULER0_SECRET_KEY", key.as_str()),
        ("SCHEDULER0_AUTH_PASSWORD", &password),
        ("SCHEDULER0_OIDC_ISSUERS", &issuers),
        ("SCHEDULER0_RAFT_SNAPSHOT_INTERVAL", "1"),
        ("SCHEDULER0_RAFT_SNAPSHOT_THRESHOLD", "1"),
        ("SCHEDULER0_JOB_EXECUTION_RETRY_MAX", "0"),
        ("RUST_LOG", "debug"),
    ];
    let cluster = TestCluster::start_with(3, &settings).await;
    let basic = format!("Basic {}", BASE64.encode(format!("admin:{password}")));
    let operator: Caller<'_> = vec![("x-peer", "cmd"), ("authorization", &basic)];
    let api = |node: u64, path: &str| cluster.url(node, &format!("/api/v1{path}"));

    // Secrets of credentials: the answer that makes one is the documented one.
    let made = create(&api(1, "/credentials"), &operator, &json!({"name": CONTROL})).await;
    let first = made["apiSecret"].as_str().unwrap().to_owned();
    kept.add("the secret of a key", &first);
    let rotate = api(2, &format!("/credentials/{}/rotate", made["id"]));
    let rotated = create(&rotate, &operator, &json!({"overlap": "1h"})).await;
    let second = rotated["apiSecret"].as_str().unwrap().to_owned();
    kept.add("the secret of a key after its rotation", &second);
    let api_key = made["apiKey"].as_str().unwrap().to_owned();
    let client: Caller<'_> = vec![("x-api-key", &api_key), ("x-secret-key", &second)];
    let bearer = format!("Bearer {api_key}.{first}");
    let old: Caller<'_> = vec![("authorization", &bearer)];

    // An access token, and a session in a browser.
    let scope = "jobs:read jobs:write runs:read projects:read executors:read cluster:read";
    let own = json!({"scope": scope, "exp": now() / 1_000 + 600});
    let token = signer.token(&claims(provider.issuer(), now() / 1_000, &own), &json!({}));
    kept.add("an access token", &token);
    kept.add("the signature of an access token", token.rsplit('.').next().unwrap());
    let token = format!("Bearer {token}");
    let person: Caller<'_> = vec![("authorization", &token)];
    let origin = cluster.url(1, "");
    let form = [("content-type", "application/x-www-form-urlencoded"), ("origin", origin.as_str())];
    let fields = format!("name=admin&secret={password}");
    let (status, signed_in) = ask("POST", &cluster.url(1, "/ui/sign-in"), &form, fields).await;
    assert_eq!(status, 303, "{signed_in}");
    let cookie = signed_in.split("\"set-cookie\": \"").nth(1).unwrap().split(';').next().unwrap();
    kept.add("the cookie of a session", cookie.split_once('=').unwrap().1);
    let browser: Caller<'_> = vec![("cookie", cookie), ("accept", "text/html")];

    // What projects, executors and jobs hold.
    let project = json!({"name": "canary", "description": CONTROL,
        "webhookSecret": kept.make_signing("a signing secret of a project")});
    let project = create(&api(1, "/projects"), &client, &project).await["id"].clone();
    let mut jobs = Vec::new();
    for (n, executor) in kept.executors(&batches, &calls).iter().enumerate() {
        let made = create(&api(n as u64 % 3 + 1, "/executors"), &operator, executor).await;
        if executor["name"] != "cloud" {
            jobs.push(json!({"executorId": made["id"]}));
        }
    }
    let rotated = create(&api(1, "/executors/1/rotate-secret"), &operator, &json!({})).await;
    kept.add("a signing secret that a node made", rotated["webhookSecret"].as_str().unwrap());
    jobs.extend(kept.targets(&calls));
    let mut failing = Vec::new();
    for (n, job) in jobs.iter().enumerate() {
        let mut job = job.clone();
        (job["projectId"], job["data"], job["after"]) =
            (project.clone(), CONTROL.into(), "0s".into());
        (job["retryMax"], job["externalId"]) = (0.into(), format!("canary{n}").into());
        let made = create(&api(n as u64 % 3 + 1, "/jobs"), &client, &job).await;
        let made = if made.is_array() { made[0].clone() } else { made };
        if job["http"]["url"] == "http://127.0.0.1:9/" {
            failing.push(made["id"].clone());
        }
    }

    // Secrets in requests that are refused.
    let wrong = kept.make("a wrong secret of a key");
    let stranger: Caller<'_> = vec![("x-api-key", &api_key), ("x-secret-key", &wrong)];
    let guess = kept.make("a wrong password");
    let basic = format!("Basic {}", BASE64.encode(format!("admin:{guess}")));
    let guesser: Caller<'_> = vec![("x-peer", "cmd"), ("authorization", &basic)];
    let forged = format!("Bearer a.{}.b", kept.make("a forged token"));
    let holder: Caller<'_> = vec![("authorization", &forged)];
    let wrongs = kept.refused();
    let query = format!("/jobs?apiSecret={}", kept.make("a secret in a query"));
    let guess = format!("name=admin&secret={}", kept.make("a wrong password in a form"));
    let link = format!("token={}", kept.make("a wrong link"));
    let mut search = Search { needles: Needles::new(kept.0), hits: BTreeSet::new() };
    assert!(!search.needles.found(made.to_string().as_bytes()).is_empty(), "the documented answer");
    for caller in [&stranger, &guesser, &holder] {
        let (status, text) = ask("GET", &api(2, "/jobs"), caller, String::new()).await;
        assert_eq!(status, 401, "{text}");
        search.look("a refusal", text.as_bytes());
    }
    for (path, body) in wrongs {
        let mut caller = operator.clone();
        caller.push(("content-type", "application/json"));
        let (status, text) = ask("POST", &api(1, path), &caller, body.clone()).await;
        assert!((400..500).contains(&status), "{path} {body}: {status} {text}");
        search.look(&format!("the answer to POST {path} {body}"), text.as_bytes());
    }
    let (status, text) = ask("GET", &api(1, &query), &client, String::new()).await;
    assert_eq!(status, 400, "{text}");
    search.look("the answer to a wrong query", text.as_bytes());
    for (path, fields) in [("/ui/sign-in", guess), ("/ui/enter", link)] {
        let (status, text) = ask("POST", &cluster.url(1, path), &form, fields).await;
        assert_eq!(status, 401, "{text}");
        search.look(path, text.as_bytes());
    }

    // Calls that came, and one that never could.
    receiver.wait_until("calls", PATIENCE, |seen| seen.len() >= 4).await;
    let letter = cluster
        .wait_until("a dead letter", async |_: &TestCluster| {
            let path = format!("/dead-letters?jobId={}", failing[0]);
            let (_, text) = ask("GET", &api(1, &path), &operator, String::new()).await;
            let page: Value = serde_json::from_str(text.split_once('\n')?.1).ok()?;
            let letter = &page["data"]["deadLetters"][0];
            Some((letter["id"].as_u64()?, letter["members"][0]["executionId"].as_str()?.to_owned()))
        })
        .await;

    // Every read of the API, in both casings, by each caller, and a stranger's.
    let mut with_control = 0;
    for (n, path) in reads(&letter.1, letter.0).iter().enumerate() {
        let nobody = Vec::new();
        for caller in [&operator, &client, &old, &person, &browser, &nobody] {
            for prefix in ["", "/api/v1"] {
                let url = cluster.url(n as u64 % 3 + 1, &format!("{prefix}{path}"));
                let (status, text) = ask("GET", &url, caller, String::new()).await;
                assert!(status < 500 || status == 503, "{url}: {text}");
                with_control += usize::from(has_control(text.as_bytes()));
                search.look(&format!("GET {prefix}{path}"), text.as_bytes());
            }
        }
    }
    assert!(with_control > 50, "{with_control} answers show the control text");

    // Every page that is linked to.
    let mut seen: BTreeSet<String> = BTreeSet::from(["/ui".to_owned()]);
    let mut next: VecDeque<String> = seen.iter().cloned().collect();
    let (mut opened, mut with_control) = (0, 0);
    while let Some(path) = next.pop_front() {
        let (status, text) = ask("GET", &cluster.url(1, &path), &browser, String::new()).await;
        assert!(status < 500 || status == 503, "{path}: {text}");
        (opened, with_control) =
            (opened + 1, with_control + usize::from(has_control(text.as_bytes())));
        search.look(&path, text.as_bytes());
        let more = links(&text)
            .into_iter()
            .filter(|link| seen.len() < MOST_PAGES && seen.insert(link.clone()));
        next.extend(more.collect::<Vec<_>>());
    }
    assert!(
        opened > 50 && with_control > 3,
        "{opened} pages, {with_control} with the control text"
    );

    // What the command line shows, and a backup.
    let backup = cluster.folder().join("canary.db");
    for words in [
        &["backup", backup.to_str().unwrap()][..],
        &["config", "show"],
        &["status"],
        &["list", "credentials"],
        &["list", "executors"],
        &["whoami"],
    ] {
        let output = cluster.command(2).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        search.look(&format!("scheduler0 {words:?}"), &[output.stdout, output.stderr].concat());
    }

    // Files: logs, state, the log of Raft, journals, snapshots, the backup.
    for id in cluster.ids() {
        let snapshots = cluster.data_dir(id).join("snapshots");
        // A snapshot is made after some 1,000 entries.
        let is_there = async |_: &TestCluster| {
            let name = |n: u64| format!("p{id}-{}-{n}", now());
            let bodies: Vec<_> =
                (0..64).map(|n| json!({"name": name(n), "description": "d"})).collect();
            let projects = api(1, "/projects");
            join_all(bodies.iter().map(|body| create(&projects, &operator, body))).await;
            let mut files = std::fs::read_dir(&snapshots).ok()?.flatten();
            files.any(|file| file.file_name() == "current").then_some(())
        };
        cluster.wait_until("a snapshot", is_there).await;
    }
    let files = search.look_at_files(cluster.folder());
    assert!(files >= 7, "{files} files have the control text: states, snapshots, the backup");
    let hits: Vec<_> = search.hits.into_iter().collect();
    assert!(hits.is_empty(), "secrets where they do not belong:\n{}", hits.join("\n"));
}
