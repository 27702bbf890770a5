//! A node that takes the tokens of a provider, a home for the session file, and commands that run
//! there while the test plays the browser.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::provider::{Behavior, Provider, config};
use crate::cli::fake::{Node, ok, scheduler0};
use crate::harness::{Ended, Running};

/// The parties of a login.
pub(super) struct Setup {
    pub(super) provider: Provider,
    pub(super) node: Node,
    home: TempDir,
}

impl Setup {
    /// A provider of this behavior, and a node that names it. The node takes the provider's tokens,
    /// the key pair of `s0_k` and `hush`, and the operator, whose `.scheduler0` is in the folder.
    pub(super) fn new(behavior: Behavior) -> Self {
        let provider = Provider::start(behavior);
        let (issuer, known) = (provider.issuer.clone(), provider.shared());
        let node = Node::start(move |asked| {
            let header = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
            let who = if asked.uri.path() == "/api/v1/auth/config" {
                return ok(&config(&issuer));
            } else if Provider::is_good(&known, header("authorization")) {
                json!({"kind": "token", "issuer": issuer, "subject": "user-1", "name": "ada"})
            } else if (header("x-api-key"), header("x-secret-key")) == (Some("s0_k"), Some("hush"))
            {
                json!({"kind": "key", "id": 7, "apiKey": "s0_k"})
            } else if header("authorization") == Some("Basic b3A6cHc=") {
                json!({"kind": "operator", "name": "op"})
            } else {
                return (401, json!({"data": "unauthorized requests", "success": false}));
            };
            match asked.uri.path() {
                "/api/v1/whoami" => ok(&who),
                "/api/v1/projects" => {
                    ok(&json!({"total": 0, "offset": 0, "limit": 50, "projects": []}))
                }
                _ => (404, json!({"data": "there is no route", "success": false})),
            }
        });
        let home = tempfile::tempdir().unwrap();
        let operator =
            ["credential", "init", "--generate", "--weak", "--username", "op", "--password", "pw"];
        assert!(scheduler0(home.path(), &operator).status.success());
        Self { provider, node, home }
    }

    /// The home of the user, which is also the working folder.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The session file.
    pub(super) fn file(&self) -> PathBuf {
        self.home().join(".config/scheduler0/sessions.json")
    }

    /// The kept session at the node; null where there is none.
    pub(super) fn session(&self) -> Value {
        let Ok(text) = std::fs::read_to_string(self.file()) else { return Value::Null };
        let all: Value = serde_json::from_str(&text).unwrap();
        all["servers"][&self.node.url].clone()
    }

    /// Starts a command with these variables beside `HOME`, and this input.
    pub(super) fn start(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
        input: &str,
    ) -> Running {
        let arguments = [&["--server", &self.node.url], arguments].concat();
        Running::start(self.home(), &arguments, variables, input)
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments, &[], "").end()
    }

    /// Logs in by the test's browser.
    pub(super) fn log_in(&self) {
        let mut login = self.start(&["login", "--no-browser", "--port", "0"], &[], "");
        let link = login.line_with("/auth?");
        let back = self.provider.browse(link.trim()).location;
        self.provider.browse(&back);
        let ended = login.end();
        assert_eq!(ended.code, 0, "{}", ended.err);
    }

    /// The header that the last request to the node for projects had; empty where it had none.
    pub(super) fn shown(&self, header: &str) -> String {
        let asked = self.node.last_at("/api/v1/projects");
        asked.headers.get(header).map_or("", |value| value.to_str().unwrap()).to_owned()
    }
}
