//! A certified OpenID provider of npm with a real node and the real command line: `login` in a
//! browser, which the test plays, and on a device, refreshed sessions, `logout`, and tokens that
//! the node refuses.
//!
//! The tests need Node 20 or later and what `npm ci` in `tests/oidc-provider` installs. Without
//! them they print that they are skipped, and fail with `CI` set.

mod browser;
mod npm;

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::task::block_in_place;

use self::browser::Browser;
use self::npm::{CLIENT, NpmProvider};
use crate::harness::{Ended, Running, TestCluster};

/// The scopes that a login asks for.
const SCOPES: [&str; 6] =
    ["offline_access", "profile", "jobs:read", "jobs:write", "projects:read", "projects:write"];
/// The life of access tokens in seconds, where each command has to refresh: one is refreshed half a
/// minute before its end.
const SHORT: u32 = 25;
const LONG: u32 = 300;

/// A provider, a node that takes its tokens, and the home of a user.
struct Fixture {
    provider: NpmProvider,
    cluster: TestCluster,
    home: tempfile::TempDir,
}

impl Fixture {
    /// Starts them, with the life of access tokens in seconds; `None` where the provider is
    /// missing.
    async fn start(life: u32) -> Option<Self> {
        let provider = NpmProvider::start(life).await?;
        let issuer =
            json!([{"issuer": provider.issuer, "audiences": ["scheduler0"], "clientId": CLIENT}]);
        let issuers = issuer.to_string();
        let cluster =
            TestCluster::start_with(1, &[("SCHEDULER0_OIDC_ISSUERS", issuers.as_str())]).await;
        Some(Self { provider, cluster, home: tempfile::tempdir().unwrap() })
    }

    fn begin(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let server = self.cluster.url(1, "");
        let arguments = [&["--server", server.as_str()], arguments].concat();
        Running::start(self.home.path(), &arguments, variables, "")
    }

    /// Runs a command to its end, and returns what it says of `data`.
    fn run(&self, arguments: &[&str]) -> Value {
        let ended = block_in_place(|| self.begin(arguments, &[]).end());
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.err);
        let told: Value = serde_json::from_str(&ended.out).unwrap_or_default();
        told["data"].clone()
    }

    /// Logs in by the browser of the test, with these flags.
    async fn log_in(&self, flags: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut arguments = vec!["login", "--port", "0"];
        arguments.extend(SCOPES.iter().flat_map(|scope| ["--scope", scope]));
        arguments.extend(flags);
        let mut login = self.begin(&arguments, variables);
        let link = block_in_place(|| login.line_with("/auth?"));
        let page = Browser::new().open(link.trim()).await;
        assert!(page.text.contains("The provider has let you in"), "{page:?}");
        let ended = block_in_place(|| login.end());
        assert_eq!(ended.code, 0, "{}", ended.err);
        ended
    }

    /// The session that the command line keeps.
    fn session(&self) -> Value {
        let file: PathBuf = self.home.path().join(".config/scheduler0/sessions.json");
        let all: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let all = all["servers"].as_object().unwrap();
        all.values().next().cloned().unwrap_or_default()
    }

    /// The answer of the node to a token.
    async fn shown(&self, token: &str) -> (u16, Value) {
        let request = crate::harness::client_of(&[]).get(self.cluster.url(1, "/api/v1/jobs"));
        let answer = request.bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_makes_a_job_and_logs_out() {
    let Some(fixture) = Fixture::start(LONG).await else { return };
    let ended = fixture.log_in(&["--no-browser", "--prompt", "consent"], &[]).await;
    assert!(ended.err.contains("as Ada Lovelace") || ended.err.contains("as ada"), "{}", ended.err);
    let session = fixture.session();
    let text = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
    let (access, refresh) = (text("accessToken"), text("refreshToken"));
    assert!(!access.is_empty() && !refresh.is_empty(), "{session}");
    assert!(!ended.err.contains(&access) && !ended.err.contains(&refresh));

    let whoami = fixture.run(&["whoami", "--json"]);
    assert_eq!((&whoami["kind"], &whoami["name"]), (&"token".into(), &"ada".into()), "{whoami}");
    assert_eq!(whoami["issuer"], fixture.provider.issuer.as_str());
    let project = ["create", "project", "--name", "p", "--description", "d", "--json"];
    let project = fixture.run(&project)["id"].as_u64().unwrap().to_string();
    let job = ["create", "job", "--project", &project, "--spec", "@daily"];
    let job = [&job[..], &["--callback-url", "http://127.0.0.1:9/", "--json"]].concat();
    fixture.run(&job);
    let jobs = fixture.run(&["list", "jobs", "--json"]);
    assert_eq!((&jobs["total"], &jobs["jobs"][0]["spec"]), (&1.into(), &"@daily".into()), "{jobs}");
    // What the token has no scope for is refused, and the scope named.
    let refused = block_in_place(|| fixture.begin(&["list", "executors"], &[]).end());
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("executors:read"), "{}", refused.err);

    fixture.run(&["logout"]);
    assert_eq!(fixture.session(), Value::Null);
    assert_eq!(fixture.provider.refresh_error(&refresh).await, "invalid_grant", "it is revoked");
    // Without the session there is nobody that the command line could be.
    let nobody = block_in_place(|| fixture.begin(&["list", "jobs"], &[]).end());
    assert_eq!(nobody.code, 2, "{}", nobody.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_of_a_desktop_logs_in_for_as_long_as_the_token_lives() {
    let Some(fixture) = Fixture::start(LONG).await else { return };
    let folder = fixture.home.path().join("bin");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink("/bin/true", folder.join("xdg-open")).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let ended = fixture.log_in(&[], &[("PATH", path.as_str()), ("DISPLAY", ":0")]).await;
    assert!(ended.err.contains("opened in the browser"), "{}", ended.err);
    // OpenID Connect Core 1.0, section 11: without consent there is no offline access.
    assert_eq!(fixture.session()["refreshToken"], Value::Null);
    assert!(ended.err.contains("--prompt consent"), "{}", ended.err);
    assert_eq!(fixture.run(&["whoami", "--json"])["kind"], "token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_short_tokens_is_refreshed_by_each_command() {
    let Some(fixture) = Fixture::start(SHORT).await else { return };
    fixture.log_in(&["--no-browser", "--prompt", "consent"], &[]).await;
    let mut seen = vec![fixture.session()];
    for _ in 0..2 {
        fixture.run(&["list", "projects"]);
        let session = fixture.session();
        for name in ["accessToken", "refreshToken"] {
            assert!(seen.iter().all(|old| old[name] != session[name]), "{name} is not refreshed");
        }
        seen.push(session);
    }
    // The provider takes a used token as a theft, and ends all that came of it.
    let first = seen[0]["refreshToken"].as_str().unwrap();
    assert_eq!(fixture.provider.refresh_error(first).await, "invalid_grant");
    let over = block_in_place(|| fixture.begin(&["list", "projects"], &[]).end());
    assert_eq!(over.code, 3, "{}", over.err);
    assert!(over.err.contains("the session has ended"), "{}", over.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_browser_logs_in_by_a_code_on_another_device() {
    let Some(fixture) = Fixture::start(LONG).await else { return };
    let mut login = fixture.begin(&["login", "--device", "--scope", "jobs:read"], &[]);
    let line = block_in_place(|| login.line_with("enter the code"));
    let code = line.split("enter the code ").nth(1).unwrap().trim_end_matches(':').to_owned();
    let address = block_in_place(|| login.line_with("/device"));
    let mut browser = Browser::new();
    let page = browser.open(address.trim()).await;
    let confirm = browser.submit(&page, &[("user_code", &code)]).await;
    assert!(confirm.text.contains(&code), "{confirm:?}");
    let done = browser.submit(&confirm, &[]).await;
    assert!(done.text.contains("Sign-in Success"), "{done:?}");
    let ended = block_in_place(|| login.end());
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(fixture.run(&["whoami", "--json"])["scopes"], json!(["jobs:read"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_tokens_for_itself_that_are_valid_and_unchanged() {
    let Some(fixture) = Fixture::start(LONG).await else { return };
    let token = fixture.provider.robot_token("urn:scheduler0").await;
    assert_eq!(fixture.shown(&token).await.0, 200);
    // A middle of the signature, whose bits all count.
    let at = token.rfind('.').unwrap() + 10;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    let mut changed = token.clone();
    changed.replace_range(at..=at, other);
    for (token, code, message) in [
        (fixture.provider.robot_token("urn:another").await, "claims_invalid", "another service"),
        (fixture.provider.robot_token("urn:expired").await, "claims_invalid", "has expired"),
        (changed, "token_invalid", "signature"),
    ] {
        let (status, body) = fixture.shown(&token).await;
        assert_eq!((status, &body["error"]["code"]), (401, &code.into()), "{body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(message), "{body}");
    }
    assert_eq!(fixture.shown(&token).await.0, 200, "the good one is good all the same");
}
