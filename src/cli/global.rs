//! The options that all commands share, and what follows from them: the configuration, the node's
//! secrets, and the client for the node that the command talks to.

use std::path::PathBuf;

use clap::Args;

use super::client::Client;
use super::client_login::ClientLogin;
use super::output::Format;
use super::{identity, unlock};
use crate::config::{Config, LoadOptions};
use crate::secret::{self, Keys};

/// The data folder of `dev`, unless `DataDir` names another.
pub(super) const DEV_FOLDER: &str = "./scheduler0-dev";

/// Options of all commands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// Configuration file [default: ./config.yml, else beside the binary]
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Sets a configuration key, over file and environment; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// The node to talk to [default: the configured Host and Port, else one of Replicas]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Form of the output [default: table; `create credential` in a pipe: json]
    #[arg(short, long, global = true, value_enum)]
    pub output: Option<Format>,
    /// The same as -o json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// Acts as the node's operator, by .scheduler0, whatever key pair or session there is
    #[arg(long, global = true)]
    pub operator: bool,
    /// Takes a .scheduler0 that other users of this machine may read
    #[arg(long, global = true)]
    pub insecure: bool,
}

impl Global {
    pub(super) fn options(&self) -> LoadOptions {
        LoadOptions::from_process(self.config.clone(), self.set.clone())
    }

    pub(super) fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.options())?)
    }

    /// The sources of the configuration of a node that starts: those of Simple Scheduler too.
    pub(super) fn node_options(&self) -> LoadOptions {
        LoadOptions { for_node: true, ..self.options() }
    }

    /// The configuration of a node that starts. It must not say where a password goes.
    pub(super) fn load_for_node(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.node_options())?)
    }

    /// The configuration of a command that talks to a node or shows its secrets. Where no other
    /// secrets are set, those of a node that `dev` runs from this folder are used.
    pub(super) fn load_for_client(&self) -> anyhow::Result<Config> {
        let mut config = self.load()?;
        config.places.push(DEV_FOLDER.into());
        Ok(config)
    }

    pub(super) fn keys(&self, config: &Config) -> Result<Keys, secret::Error> {
        Keys::load(config, self.insecure)
    }

    /// The URL of the node that is asked first.
    pub(super) fn url(&self, config: &Config) -> String {
        self.server.clone().unwrap_or_else(|| config.local_url())
    }

    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let config = self.load_for_client()?;
        self.client_of(&config, &[&self.url(&config)])
    }

    /// The client of a worker. `--server` may name several nodes, with commas between them; the
    /// session of the first is shown to all of them.
    pub(super) fn worker_client(&self) -> anyhow::Result<Client> {
        let config = self.load_for_client()?;
        let urls = self.url(&config);
        let urls: Vec<_> = urls.split(',').map(str::trim).collect();
        self.client_of(&config, &urls)
    }

    /// The credentials of a command that asks the node at `url`.
    fn login(&self, config: &Config, url: &str) -> anyhow::Result<ClientLogin> {
        let chosen = if self.operator { None } else { identity::choose(url)? };
        chosen.map_or_else(|| self.operator_login(config), Ok)
    }

    fn operator_login(&self, config: &Config) -> anyhow::Result<ClientLogin> {
        let keys = self.keys(config).map_err(|e| unlock::advice(e, &self.url(config)))?;
        Ok(ClientLogin::of(&keys))
    }

    /// A client for these nodes, at least one, and for the configured ones if no flag names a node.
    fn client_of(&self, config: &Config, urls: &[&str]) -> anyhow::Result<Client> {
        let login = self.login(config, urls[0])?;
        let others = config.replicas.iter().filter(|r| r.node_id != config.node_id);
        let others = others.map(|r| r.address.as_str()).filter(|_| self.server.is_none());
        let all: Vec<&str> = urls.iter().copied().chain(others).collect();
        Client::with_login(&all, login)
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
