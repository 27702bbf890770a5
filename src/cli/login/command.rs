//! `login`: makes a session of the command line at a server, and keeps it once the server has taken
//! it.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::code_flow::{self, BrowserLogin};
use super::device_flow;
use super::endpoint::is_loopback;
use super::issuer::{IssuerChoice, choose};
use super::provider::Provider;
use super::request::LoginRequest;
use super::session::{KeyPair, OauthClient, Session, Tokens};
use super::session_file::{SessionFile, server_name};
use crate::cli::client::Client;
use crate::cli::client_login::ClientLogin;
use crate::cli::output::{Output, say};
use crate::cli::{Failure, Global, ask, browser};
use crate::config::read_secret_file;
use crate::model::time::rfc3339;
use crate::secret::SecretText;

/// Flags of `login`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  scheduler0 login --server https://cron.example.com\n  scheduler0 login --device\n  scheduler0 login --key\n  scheduler0 login --scope jobs:read --scope offline_access"
)]
pub struct Login {
    /// The provider [default: the one that the node names]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The client that the command line is at the provider [default: the one that the node names]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// A file with the secret of the client, if it has one
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// A scope to ask for; may be repeated [default: profile and `offline_access`, if the provider
    /// has them]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// What the provider asks before it lets you in: `consent`, `login` or `select_account`. Some
    /// give a refresh token with `consent` only [default: what the provider thinks right]
    #[arg(long, value_name = "PROMPT", conflicts_with = "device")]
    prompt: Option<String>,
    /// Shows a link and a code for another device [default without a display, if the provider can]
    #[arg(long, conflicts_with = "no_browser")]
    device: bool,
    /// Shows the link, and opens no browser
    #[arg(long)]
    no_browser: bool,
    /// The port of this machine that the browser comes back to; 0: any free one
    #[arg(long, default_value_t = 5556)]
    port: u16,
    /// Keeps a key pair, which is asked for, in place of a provider's tokens
    #[arg(
        long,
        conflicts_with_all = ["issuer", "client_id", "client_secret_file", "scopes", "prompt", "device", "no_browser"]
    )]
    key: bool,
}

/// Carries it out.
///
/// # Errors
///
/// Sentences for people, each with the way out. Nothing is kept then.
pub(in crate::cli) async fn run(
    flags: &Login,
    global: &Global,
    output: Output,
) -> anyhow::Result<()> {
    let url = global.url(&global.load_for_client()?);
    let nobody = Client::with_login(&[url.as_str()], ClientLogin::Nobody)?;
    let server = server_name(&url);
    let file = SessionFile::of_process().ok_or_else(|| {
        let message = "there is no place for the session: set HOME or XDG_CONFIG_HOME";
        Failure::Usage(message.to_owned())
    })?;
    // What is wrong with the file is said before the person is sent to a browser.
    drop(file.lock().await?);
    if url::Url::parse(&url).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url)) {
        say(&format!(
            "warning: {url} is not encrypted: whoever is on the way there can read the session"
        ));
    }
    let session = if flags.key {
        Session::Key(key_pair()?)
    } else {
        let choice =
            choose(&nobody, &url, flags.issuer.as_deref(), flags.client_id.as_deref()).await?;
        Session::Tokens(tokens(flags, choice).await?)
    };
    let whoami = shown_to(&url, &session).await?;
    file.lock().await?.put(&server, session.clone())?;
    tell(&server, &file, &session, &whoami, output)
}

/// Asks for a key pair; a script pipes two lines in.
fn key_pair() -> anyhow::Result<KeyPair> {
    let empty = || Failure::Usage("a key pair has both: a key and its secret".to_owned());
    let api_key = ask::secret("API key", false)?.ok_or_else(empty)?;
    let api_secret = ask::secret("API secret", false)?.ok_or_else(empty)?;
    Ok(KeyPair { api_key: api_key.to_string(), api_secret: api_secret.into() })
}

/// Logs in at a provider.
async fn tokens(flags: &Login, choice: IssuerChoice) -> anyhow::Result<Tokens> {
    let secret = flags.client_secret_file.as_ref().map(|path| {
        let secret = read_secret_file(path).map(SecretText::from);
        secret.map_err(|e| Failure::Usage(format!("--client-secret-file: {e}")))
    });
    let provider = Provider::new(&choice.issuer)?;
    let metadata = provider.metadata().await?;
    let client = OauthClient {
        id: choice.client_id,
        secret: secret.transpose()?,
        secret_in_form: metadata.wants_secret_in_form(),
    };
    let scope = metadata.scope(&flags.scopes);
    let request = LoginRequest { provider, metadata, client, scope };
    let has_device_flow = request.metadata.device_authorization_endpoint.is_some();
    if flags.device || (!flags.no_browser && has_device_flow && !browser::has_desktop()) {
        return device_flow::log_in(&request).await;
    }
    let window = BrowserLogin {
        port: flags.port,
        opens: !flags.no_browser,
        prompt: flags.prompt.as_deref(),
    };
    code_flow::log_in(&request, &window).await
}

/// Shows the session to the server, which says who it takes it for.
async fn shown_to(url: &str, session: &Session) -> anyhow::Result<Value> {
    let (login, refused) = match session {
        Session::Key(pair) => (
            ClientLogin::pair(&pair.api_key, &pair.api_secret),
            "the key pair was not kept, since the node does not take it".to_owned(),
        ),
        Session::Tokens(tokens) => (
            ClientLogin::Token(tokens.access_token.clone()),
            format!(
                "{} let you in, but the node does not take its token (does the token name the \
                 node's audience or client, and scopes? --scope asks for more)",
                tokens.issuer
            ),
        ),
    };
    let client = Client::with_login(&[url], login)?;
    let answer = client.get("/whoami", &[]).await;
    let answer = answer.map_err(|error| match error.downcast_ref::<Failure>() {
        Some(Failure::Refused { status: 404, .. }) => anyhow::anyhow!(
            "the node at {url} is of a version that does not say who a caller is: upgrade it first"
        ),
        Some(Failure::Refused { .. }) => error.context(refused),
        _ => error,
    })?;
    Ok(answer["data"].clone())
}

fn tell(
    server: &str,
    file: &SessionFile,
    session: &Session,
    whoami: &Value,
    output: Output,
) -> anyhow::Result<()> {
    let mut told = json!({"server": server, "file": file.path(), "whoami": whoami});
    let (name, ends) = match session {
        Session::Key(pair) => (format!("the key {}", pair.api_key), None),
        Session::Tokens(tokens) => {
            told["issuer"] = tokens.issuer.as_str().into();
            told["subject"] = tokens.subject.as_str().into();
            let name = tokens.name.as_ref().unwrap_or(&tokens.subject);
            let ends = tokens.expires_at_ms.filter(|_| tokens.refresh_token.is_none());
            (name.clone(), ends.map(rfc3339))
        }
    };
    if output.is_json() {
        told["expiresAt"] = ends.into();
        return output.json(&json!({"data": told, "success": true}));
    }
    let until = ends.as_ref().map_or_else(String::new, |ends| format!(", until {ends}"));
    say(&format!("logged in at {server} as {name}{until}; `scheduler0 logout` ends it"));
    if ends.is_some() {
        say("the provider gave nothing to refresh the session with: it may want the scope \
             offline_access, or --prompt consent");
    }
    Ok(())
}
