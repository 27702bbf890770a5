//! The options that all commands share, and what follows from them: the configuration, the node's
//! secrets, and the client for the node that the command talks to.

use std::path::PathBuf;

use clap::Args;

use super::client::Client;
use super::output::Format;
use super::unlock;
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
        let url = self.url(&config);
        let keys = self.keys(&config).map_err(|e| unlock::advice(e, &url))?;
        if self.server.is_some() {
            return Client::new(&url, &[], &keys);
        }
        let others = config.replicas.iter().filter(|r| r.node_id != config.node_id);
        let others: Vec<&str> = others.map(|r| r.address.as_str()).collect();
        Client::new(&url, &others, &keys)
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
