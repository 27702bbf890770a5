//! The surroundings that `dev` gives a node: a folder, credentials, a key pair and a project to
//! begin with, a command to paste, and the executions as they happen. It starts no node itself.

mod watch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::client::Client;
use super::global::DEV_FOLDER;
use super::output::say;
use super::{Failure, Global, ui};
use crate::config::{Config, LogLevel};
use crate::disk::modes;
use crate::secret::{Keys, SecretFile, write_private};

/// The client key pair, so that a command pasted yesterday works today.
const KEY_FILE: &str = "client.json";
/// The project that the command to paste creates its job in.
const PROJECT: &str = "first steps";
/// The longest time until a node is ready.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// The configuration and the secrets of a node for trying things out; makes the folder and the
/// secrets when there are none.
pub fn prepare(global: &Global) -> anyhow::Result<(Config, Keys)> {
    let mut config = global.load()?;
    if config.replicas.len() > 1 {
        let message = "Replicas: dev is for a single node; use `scheduler0 start` for a cluster";
        return Err(Failure::Usage(message.to_owned()).into());
    }
    if config.data_dir == Path::new("./data") {
        config.data_dir = DEV_FOLDER.into();
        if config.backup_dir == Path::new("./data/backups") {
            config.backup_dir = config.data_dir.join("backups");
        }
    }
    if config.breaker_cooldown == Duration::from_secs(5) {
        // The default is meant for production. Where things are tried out, receivers are often
        // restarted.
        config.breaker_cooldown = Duration::from_secs(1);
    }
    if config.log_level == LogLevel::Info {
        // The user wants to see the executions.
        config.log_level = LogLevel::Warn;
    }
    let folder = config.data_dir.clone();
    modes::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    config.places.push(folder.clone());
    if !config.secrets.is_complete() && SecretFile::find(&config.places)?.is_none() {
        let path = SecretFile::generate().write(&folder, false)?;
        say(&format!("made node credentials: {}", path.display()));
    }
    let keys = global.keys(&config)?;
    Ok((config, keys))
}

/// The URL of a node that listens at this address. A wildcard address is replaced by the loopback.
pub fn url(listens: SocketAddr) -> String {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listens.port()))
}

/// Greets the user of the node at `url`, then shows executions until dropped, as lines for people
/// or as JSON. Returns only with an error.
pub async fn attend(url: &str, config: &Config, keys: &Keys, json: bool) -> anyhow::Result<()> {
    let client = Client::new(url, &[], keys)?;
    client.wait_until_ready(READY_TIMEOUT).await?;
    let (api_key, api_secret) = key_pair(&client, &config.data_dir).await?;
    let project = project(&client).await?;
    let first = first_job(&client, url, project).await?;
    let link = config.ui.then(|| ui::link(url, keys));
    say(&greeting(url, config, (&api_key, &api_secret), project, (&first, link.as_deref())));
    watch::watch(&client, json).await
}

fn greeting(
    url: &str,
    config: &Config,
    (api_key, secret): (&str, &str),
    project: u64,
    (first, link): (&str, Option<&str>),
) -> String {
    // A command in this folder finds the configured port without the flag.
    let server = if url == config.local_url() { String::new() } else { format!(" --server {url}") };
    let pages = link.map(|link| {
        format!(
            "
Open the web UI (the link signs in for a minute, `scheduler0 ui{server}` makes another):

  {link}
"
        )
    });
    format!(
        "
Scheduler0 {version} is ready at {url} (data in {folder})
{pages}
  x-api-key:    {api_key}
  x-secret-key: {secret}

{first}

In another terminal, in this folder:

  scheduler0 list jobs{server}
  scheduler0 explain 1{server}

or paste this for one more job:

  curl -s {url}/api/v1/jobs -H 'content-type: application/json' \\
    -H 'x-api-key: {api_key}' -H 'x-secret-key: {secret}' \\
    -d '[{{\"projectId\": {project}, \"spec\": \"@every 5s\", \"timezone\": \"UTC\", \
\"callbackUrl\": \"{url}/dev/echo\", \"data\": \"hello\"}}]'

Ctrl-C stops the node.
",
        version = env!("CARGO_PKG_VERSION"),
        pages = pages.unwrap_or_default(),
        folder = config.data_dir.display(),
    )
}

/// The key pair of an earlier run if the node still knows it, else a new one.
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
/// the project has jobs already, nor where the configuration forbids such a call. The answer says
/// what there is to see.
async fn first_job(client: &Client, url: &str, project: u64) -> anyhow::Result<String> {
    let query = [("projectId", project.to_string()), ("limit", "1".to_owned())];
    let envelope = client.get("/jobs", &query).await?;
    if envelope["data"]["total"].as_u64().is_none_or(|total| total > 0) {
        return Ok("Each call that it makes shows up below.".to_owned());
    }
    let job = json!({
        "projectId": project, "spec": "@every 5s", "timezone": "UTC",
        "callbackUrl": format!("{url}/dev/echo"), "data": "made by scheduler0 dev",
    });
    match client.post("/jobs", &json!([job])).await {
        Ok(_) => {
            Ok(format!("A first job calls {url}/dev/echo every 5 seconds, and shows up below."))
        }
        Err(e) => match e.downcast_ref::<Failure>() {
            Some(Failure::Refused { message, .. }) => Ok(format!(
                "There is no first job, because this node may not call itself ({message}).\n\
                 Each call that it makes shows up below."
            )),
            _ => Err(e),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_called_at_loopback() {
        for (listens, called) in [
            ("0.0.0.0:9091", "http://127.0.0.1:9091"),
            ("[::]:9091", "http://[::1]:9091"),
            ("10.0.0.7:80", "http://10.0.0.7:80"),
        ] {
            assert_eq!(url(listens.parse().unwrap()), called);
        }
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
            operator: false,
            insecure: false,
        };
        let (config, keys) = prepare(&global).unwrap();
        assert_eq!((config.data_dir.as_path(), config.log_level), (data.as_path(), LogLevel::Warn));
        assert!(data.join(crate::secret::FILE).exists());
        assert_eq!(prepare(&global).unwrap().1.fingerprint(), keys.fingerprint());
        let text = greeting(
            "http://127.0.0.1:9091",
            &config,
            ("s0_k", "s3cret"),
            5,
            ("See below.", Some("http://link#x")),
        );
        for part in [
            "http://127.0.0.1:9091/dev/echo",
            "@every 5s",
            "s0_k",
            "s3cret",
            "\"projectId\": 5",
            "See below.",
            "http://link#x",
            "scheduler0 list jobs\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = greeting("http://127.0.0.1:99", &config, ("s0_k", "s3cret"), 5, ("", None));
        assert!(text.contains("scheduler0 list jobs --server http://127.0.0.1:99\n"), "{text}");
    }
}
