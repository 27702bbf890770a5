//! The provider of `tests/oidc-provider`: a process of Node, which ends with its input.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::harness::{PATIENCE, client_of};

/// The client that the command line is there.
pub(super) const CLIENT: &str = "simple-scheduler-cli";
/// The id and the secret of the client that is no person, for Basic authorization.
const ROBOT: (&str, &str) = ("robot", "the+secret+of+the+robot");

/// A running provider.
pub(super) struct NpmProvider {
    pub(super) issuer: String,
    metadata: Value,
    http: reqwest::Client,
    _process: tokio::process::Child,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider")
}

/// What the tests need and do not find.
fn missing() -> Vec<&'static str> {
    let node = Command::new("node").args(["--version"]).output();
    let version = node.ok().and_then(|told| String::from_utf8(told.stdout).ok());
    let version =
        version.and_then(|told| told.trim().strip_prefix('v')?.split('.').next()?.parse().ok());
    let mut missing = Vec::new();
    if version.is_none_or(|version: u32| version < 20) {
        missing.push("node 20 or later");
    }
    if !folder().join("node_modules/oidc-provider").is_dir() {
        missing.push("what `npm ci` in tests/oidc-provider installs");
    }
    missing
}

impl NpmProvider {
    /// Starts it, with the seconds that its access tokens live. Without what it needs the test is
    /// skipped and says so; with `CI` set it fails.
    pub(super) async fn start(life: u32) -> Option<Self> {
        let missing = missing().join(", ");
        if !missing.is_empty() {
            assert!(std::env::var_os("CI").is_none(), "the OpenID provider needs {missing}");
            eprintln!("SKIPPED: the OpenID provider of tests/oidc-provider needs {missing}");
            return None;
        }
        let mut process = tokio::process::Command::new("node")
            .arg("provider.mjs")
            .current_dir(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let settings = format!("{}\n", json!({"life": life}));
        process.stdin.as_mut().unwrap().write_all(settings.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let issuer = first.expect("it starts").unwrap().expect("it says where it is");
        let http = client_of(&[]);
        let metadata = format!("{issuer}/.well-known/openid-configuration");
        let metadata = http.get(metadata).send().await.unwrap().json().await.unwrap();
        Some(Self { issuer, metadata, http, _process: process })
    }

    /// Sends a form to an endpoint that the metadata name; status and answer.
    async fn post(&self, endpoint: &str, form: &[(&str, &str)], is_robot: bool) -> (u16, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.http.post(self.metadata[endpoint].as_str().unwrap()).body(body);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if is_robot {
            request = request.basic_auth(ROBOT.0, Some(ROBOT.1));
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// An access token of the program `robot` for a service.
    pub(super) async fn robot_token(&self, resource: &str) -> String {
        let form =
            [("grant_type", "client_credentials"), ("resource", resource), ("scope", "jobs:read")];
        let (status, answer) = self.post("token_endpoint", &form, true).await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// The error of a refresh by this token; null where there is none.
    pub(super) async fn refresh_error(&self, refresh_token: &str) -> Value {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", CLIENT),
        ];
        self.post("token_endpoint", &form, false).await.1["error"].clone()
    }
}
