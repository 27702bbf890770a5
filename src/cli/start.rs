//! The steps of `start` and `dev` around a running node: flags over the configuration, logging,
//! warnings, and the signals that stop it. `node` is the node itself.

use clap::Args;
use tokio::runtime::Runtime;

use super::output::Output;
use super::signals::{self, Hangup};
use super::{Failure, Global, dev};
use crate::config::Config;
use crate::node::{self, Node};
use crate::telemetry;

/// Flags that set the keys most often set by hand; `--set` sets any other.
#[derive(Debug, Default, Args)]
pub struct StartFlags {
    /// This node's number, 1 or more
    #[arg(long)]
    node_id: Option<String>,
    /// The name or address that the API listens on
    #[arg(long)]
    host: Option<String>,
    /// The port of the API; 0 takes a free port
    #[arg(long)]
    port: Option<String>,
    /// host:port for the other nodes
    #[arg(long)]
    raft_address: Option<String>,
    /// true if this node founds the cluster
    #[arg(long)]
    bootstrap: Option<String>,
    /// Folder of the node's data
    #[arg(long)]
    data_dir: Option<String>,
    /// error, warn, info or debug
    #[arg(long)]
    log_level: Option<String>,
    /// Starts with secrets that can be guessed: a password of fewer than 16 characters, a secret
    /// key of one repeated byte
    #[arg(long)]
    pub(super) weak: bool,
}

impl StartFlags {
    /// The same options with these flags as further settings; a `--set` of the same key wins.
    pub fn over(&self, global: &Global) -> Global {
        let mut global = global.clone();
        let named = [
            ("NodeId", &self.node_id),
            ("Host", &self.host),
            ("Port", &self.port),
            ("RaftAddress", &self.raft_address),
            ("Bootstrap", &self.bootstrap),
            ("DataDir", &self.data_dir),
            ("LogLevel", &self.log_level),
        ];
        let named = named
            .into_iter()
            .filter_map(|(key, value)| value.as_ref().map(|value| (key.to_owned(), value.clone())));
        global.set.splice(0..0, named);
        global
    }
}

/// Runs a node until a signal stops it, or until it cannot go on.
pub(super) fn run(flags: &StartFlags, global: &Global) -> anyhow::Result<()> {
    let global = &flags.over(global);
    let config = global.load_for_node()?;
    begin_log(&config)?;
    let keys = global.keys(&config)?;
    keys.check_strength(flags.weak)?;
    runtime()?.block_on(async {
        signals::ignore()?;
        signals::reload_on_hangup(global)?;
        let node = Node::start(config, keys, node::Options::default()).await?;
        until_stopped(node, Hangup::GoesOn, std::future::pending()).await
    })
}

/// Runs a node for trying things out, and shows what it does.
pub(super) fn dev(flags: &StartFlags, global: &Global, output: Output) -> anyhow::Result<()> {
    let global = &flags.over(global);
    let (config, keys) = dev::prepare(global)?;
    keys.check_strength(flags.weak)?;
    begin_log(&config)?;
    runtime()?.block_on(async {
        signals::ignore()?;
        let options = node::Options { dev: true, ..node::Options::default() };
        let node = Node::start(config.clone(), keys.clone(), options).await?;
        let url = dev::url(node.address());
        let shown = dev::attend(&url, &config, &keys, output.is_json());
        until_stopped(node, Hangup::Stops, shown).await
    })
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Waits for a signal, for the node's failure, or for the end of what goes on beside it; then stops
/// the node. A second signal ends the process at once.
async fn until_stopped(
    node: Node,
    on_hangup: Hangup,
    beside: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut failed = node.failed();
    let outcome = tokio::select! {
        signal = signals::stop(on_hangup) => {
            tracing::info!("{}: stopping gracefully; once more ends at once", signal?);
            Ok(())
        }
        // `wait_for` returns a lock that a task with a reason to fail waits for, so it is dropped
        // at once.
        () = async { drop(failed.wait_for(Option::is_some).await) } => {
            // The task that found the reason has logged it.
            node.crash().await;
            return Err(Failure::Logged.into());
        }
        ended = beside => ended,
    };
    tokio::select! {
        () = node.stop() => outcome,
        // A terminal that closes may send SIGHUP twice.
        signal = signals::stop(Hangup::GoesOn) => anyhow::bail!("{}: ended before the stop was complete", signal?),
    }
}

/// Starts logging, and says in it what was odd about the configuration.
pub fn begin_log(config: &Config) -> anyhow::Result<()> {
    let filter = std::env::var(telemetry::FILTER_VARIABLE).ok();
    telemetry::init(config.log_level, config.log_format, filter.as_deref())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_set() {
        let global = Global {
            config: None,
            set: vec![("Port".to_owned(), "3".to_owned())],
            server: None,
            output: None,
            json: false,
            operator: false,
            insecure: false,
        };
        let flags = StartFlags {
            port: Some("2".to_owned()),
            node_id: Some("7".to_owned()),
            ..StartFlags::default()
        };
        let set = flags.over(&global).set;
        let pairs: Vec<_> = set.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("NodeId", "7"), ("Port", "2"), ("Port", "3")]);
    }
}
