//! Who the command line is at a node, where no flag says it: the key pair of the environment, else
//! the session of that node, else the node's operator by `.scheduler0`. Called by `global` for
//! every command that talks to a node.

use std::sync::Arc;

use super::Failure;
use super::client_login::ClientLogin;
use super::login::live_session::LiveSession;
use super::login::session::Session;
use super::login::session_file::{SessionFile, server_name};
use crate::config;

/// The credentials for the node at `url`; `None` stands for the operator's.
///
/// # Errors
///
/// [`Failure::Usage`] for half a key pair, and for a session file that cannot be used.
pub(super) fn choose(url: &str) -> Result<Option<ClientLogin>, Failure> {
    if let Some(pair) = of_environment(|name| std::env::var(name).ok())? {
        return Ok(Some(pair));
    }
    SessionFile::of_process().map_or(Ok(None), |file| of_session(file, url))
}

/// The key pair of the environment (`SCHEDULER0_API_KEY` and `SCHEDULER0_API_SECRET`, or files of
/// them), so that a machine of workers or of CI needs nothing else.
fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<Option<ClientLogin>, Failure> {
    let found = |variable| config::from_environment(variable, &get).map_err(Failure::Usage);
    match (found("SCHEDULER0_API_KEY")?, found("SCHEDULER0_API_SECRET")?) {
        (Some(key), Some(secret)) => Ok(Some(ClientLogin::pair(&key, &secret))),
        (None, None) => Ok(None),
        _ => {
            let message = "SCHEDULER0_API_KEY and SCHEDULER0_API_SECRET: set both, or neither";
            Err(Failure::Usage(message.to_owned()))
        }
    }
}

fn of_session(file: SessionFile, url: &str) -> Result<Option<ClientLogin>, Failure> {
    let server = server_name(url);
    Ok(match file.find(&server)? {
        Some(Session::Tokens(tokens)) => {
            Some(ClientLogin::Session(Arc::new(LiveSession::new(file, server, tokens))))
        }
        Some(Session::Key(pair)) => Some(ClientLogin::pair(&pair.api_key, &pair.api_secret)),
        None => None,
    })
}
