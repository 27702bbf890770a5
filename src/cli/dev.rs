//! What `dev` does around a node: a folder, credentials, a key pair and a project to begin with, a
//! command to paste, and the executions as they happen. It starts no node itself.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::client::Client;
use super::list::EXECUTIONS;
use super::output::{cell, say};
use super::{Failure, Global};
use crate::config::{Config, LogLevel};
use crate::secret::{Keys, SecretFile, write_private};
use crate::telemetry::{BOUND, Stream};

/// Where `dev` keeps everything, unless `DataDir` says otherwise.
const FOLDER: &str = "./scheduler0-dev";
/// The client key pair, so that a command pasted yesterday works today.
const KEY_FILE: &str = "client.json";
/// The project that the command to paste creates its job in.
const PROJECT: &str = "first steps";
/// How long a node may take to be ready.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between looks at the executions.
const GLANCE: Duration = Duration::from_millis(300);
/// How many executions one look takes in.
const WINDOW: usize = 100;

/// The configuration and the secrets of a node for trying things out; makes the folder and the
/// secrets when there are none.
pub fn prepare(global: &Global) -> anyhow::Result<(Config, Keys)> {
    let mut config = global.load()?;
    if config.replicas.len() > 1 {
        let message = "Replicas: dev is for a single node; use `scheduler0 start` for a cluster";
        return Err(Failure::Usage(message.to_owned()).into());
    }
    if config.data_dir == Path::new("./data") {
        config.data_dir = FOLDER.into();
        if config.backup_dir == Path::new("./data/backups") {
            config.backup_dir = config.data_dir.join("backups");
        }
    }
    if config.log_level == LogLevel::Info {
        // The executions are what there is to see.
        config.log_level = LogLevel::Warn;
    }
    let folder = config.data_dir.clone();
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    config.places.push(folder.clone());
    if !config.secrets.is_complete() && SecretFile::find(&config.places)?.is_none() {
        let path = SecretFile::generate().write(&folder, false)?;
        say(&format!("made node credentials: {}", path.display()));
    }
    let keys = Keys::load(&config)?;
    Ok((config, keys))
}

/// Greets whoever started the node that listens at `url`, then shows executions until dropped.
/// Returns only with an error.
pub async fn attend(url: &str, config: &Config, keys: &Keys) -> anyhow::Result<()> {
    let client = Client::new(url, &[], keys)?;
    client.wait_until_ready(PATIENCE).await?;
    let (api_key, api_secret) = key_pair(&client, &config.data_dir).await?;
    let project = project(&client).await?;
    first_job(&client, url, project).await?;
    say(&greeting(url, config, &api_key, &api_secret, project));
    watch(&client).await
}

fn greeting(url: &str, config: &Config, api_key: &str, secret: &str, project: u64) -> String {
    format!(
        "
Scheduler0 {version} is ready at {url} (data in {folder})

  x-api-key:    {api_key}
  x-secret-key: {secret}

A first job calls {url}/dev/echo every 5 seconds, and shows up below. Paste this into another
terminal for one more:

  curl -s {url}/api/v1/jobs -H 'content-type: application/json' \\
    -H 'x-api-key: {api_key}' -H 'x-secret-key: {secret}' \\
    -d '[{{\"projectId\": {project}, \"spec\": \"@every 5s\", \"timezone\": \"UTC\", \
\"callbackUrl\": \"{url}/dev/echo\", \"data\": \"hello\"}}]'

Ctrl-C stops the node.
",
        version = env!("CARGO_PKG_VERSION"),
        folder = config.data_dir.display(),
    )
}

/// The key pair of an earlier run if it still opens the door, else a new one.
async fn key_pair(client: &Client, folder: &Path) -> anyhow::Result<(String, String)> {
    let path = folder.join(KEY_FILE);
    if let Ok(bytes) = std::fs::read(&path)
        && let Ok(kept) = serde_json::from_slice::<Value>(&bytes)
        && let Some(pair) = pair_of(&kept)
        && let Some(id) = kept["id"].as_u64()
    {
        let known = client.get(&format!("/credentials/{id}"), &[]).await;
        if known
            .is_ok_and(|e| e["data"]["apiKey"] == pair.0.as_str() && e["data"]["archived"] != true)
        {
            return Ok(pair);
        }
    }
    let made = client.post("/credentials", &json!({})).await?;
    let data = &made["data"];
    let pair = pair_of(data).context("the node answered without a key pair")?;
    let kept = json!({ "id": data["id"], "apiKey": pair.0, "apiSecret": pair.1 });
    write_private(&path, kept.to_string().as_bytes())
        .with_context(|| path.display().to_string())?;
    Ok(pair)
}

fn pair_of(data: &Value) -> Option<(String, String)> {
    Some((data["apiKey"].as_str()?.to_owned(), data["apiSecret"].as_str()?.to_owned()))
}

/// The number of the project to begin with; makes it when it isn't there.
async fn project(client: &Client) -> anyhow::Result<u64> {
    let query = [("limit", "1000".to_owned()), ("offset", "0".to_owned())];
    let envelope = client.get("/projects", &query).await?;
    let listed = envelope["data"]["projects"].as_array().into_iter().flatten();
    if let Some(id) = listed.filter(|p| p["name"] == PROJECT).find_map(|p| p["id"].as_u64()) {
        return Ok(id);
    }
    let body = json!({ "name": PROJECT, "description": "made by scheduler0 dev" });
    let made = client.post("/projects", &body).await?;
    made["data"]["id"].as_u64().context("the node answered without the project's id")
}

/// Makes a job that calls the built-in echo endpoint, so that there is something to see; not when
/// the project has jobs already.
async fn first_job(client: &Client, url: &str, project: u64) -> anyhow::Result<()> {
    let query = [("projectId", project.to_string()), ("limit", "1".to_owned())];
    let envelope = client.get("/jobs", &query).await?;
    if envelope["data"]["total"].as_u64().is_none_or(|total| total > 0) {
        return Ok(());
    }
    let job = json!({
        "projectId": project, "spec": "@every 5s", "timezone": "UTC",
        "callbackUrl": format!("{url}/dev/echo"), "data": "made by scheduler0 dev",
    });
    client.post("/jobs", &json!([job])).await?;
    Ok(())
}

/// Prints each execution once, oldest first. What was there before is passed over. A terminal that
/// is not read costs lines, never the node's time; one that is closed ends it.
async fn watch(client: &Client) -> anyhow::Result<()> {
    let shown_to = Stream::start(&std::io::stdout(), "shown", BOUND, |shown_to, lines| {
        shown_to.push(format!("({lines} executions are not shown)\n").as_bytes());
    })?;
    let query = [
        ("limit", WINDOW.to_string()),
        ("offset", "0".to_owned()),
        ("orderBy", "dateCreated".to_owned()),
        ("orderByDirection", "desc".to_owned()),
    ];
    let mut seen = Seen::default();
    let mut first = true;
    let mut ticks = tokio::time::interval(GLANCE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let envelope = match client.get("/executions", &query).await {
            Ok(envelope) => envelope,
            // The node is busy or stopping; if it stops, this future is dropped.
            Err(e) if Failure::code(&e) != 3 => continue,
            Err(e) => return Err(e),
        };
        let list = envelope["data"]["executions"].as_array().map_or(&[][..], Vec::as_slice);
        for execution in list.iter().rev() {
            if seen.is_new(execution) && !first {
                shown_to.push(format!("{}\n", shown(execution)).as_bytes());
            }
        }
        first = false;
        if shown_to.is_closed() {
            return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into());
        }
    }
}

/// The executions of the last looks, so that each is printed once.
#[derive(Default)]
struct Seen {
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, execution: &Value) -> bool {
        // A retry has its occurrence's id: the attempt tells them apart.
        let id = cell(execution, &["uniqueId", "id"]);
        let mark = format!("{id} {}", cell(execution, &["attempt", "state"]));
        if !self.known.insert(mark.clone()) {
            return false;
        }
        self.order.push_back(mark);
        if self.order.len() > 4 * WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// One line: `2026-11-21T05:00:05Z  job 1  delivered  attempt 1  200  3 ms`.
fn shown(execution: &Value) -> String {
    let mut parts = Vec::new();
    for (title, names) in EXECUTIONS {
        let value = cell(execution, names);
        match *title {
            _ if value == "-" => {}
            "id" | "node" => {}
            "ms" => parts.push(format!("{value} ms")),
            "job" | "attempt" => parts.push(format!("{title} {value}")),
            _ => parts.push(value),
        }
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_execution_is_shown_once_and_each_attempt_of_it() {
        let mut seen = Seen::default();
        let execution =
            |id: usize, attempt: u32| json!({"uniqueId": id.to_string(), "attempt": attempt});
        assert!(seen.is_new(&execution(1, 1)));
        assert!(!seen.is_new(&execution(1, 1)));
        assert!(seen.is_new(&execution(1, 2)));
        for id in 2..10 * WINDOW {
            assert!(seen.is_new(&execution(id, 1)));
        }
        assert!(seen.known.len() <= 4 * WINDOW);
    }

    #[test]
    fn a_line_says_what_happened() {
        let text = shown(&json!({
            "id": 1, "jobId": 7, "scheduledAt": "2026-11-21T05:00:05Z", "outcome": "failed",
            "attempt": 2, "httpCode": 500, "durationMs": 3, "nodeId": 1, "error": "status 500",
        }));
        assert_eq!(text, "2026-11-21T05:00:05Z  job 7  failed  attempt 2  500  3 ms  status 500");
    }

    #[test]
    fn a_dev_node_gets_its_folder_and_credentials_once() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("here");
        let global = Global {
            config: None,
            set: vec![("DataDir".to_owned(), data.display().to_string())],
            server: None,
            output: None,
            json: false,
        };
        let (config, keys) = prepare(&global).unwrap();
        assert_eq!((config.data_dir.as_path(), config.log_level), (data.as_path(), LogLevel::Warn));
        assert!(data.join(crate::secret::FILE).exists());
        assert_eq!(prepare(&global).unwrap().1.fingerprint(), keys.fingerprint());
        let text = greeting("http://127.0.0.1:9091", &config, "s0_k", "s3cret", 5);
        for part in
            ["http://127.0.0.1:9091/dev/echo", "@every 5s", "s0_k", "s3cret", "\"projectId\": 5"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
