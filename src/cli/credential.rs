//! `credential init` and `credential show`: the node's own secrets in `.scheduler0`. (`create
//! credential` makes keys for clients.) It writes that one file and talks to no node.

use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use super::output::{Output, say};
use super::{Global, ask};
use crate::secret::{FILE, Keys, SecretFile};

/// The node's own credentials.
#[derive(Debug, Subcommand)]
pub enum CredentialCommand {
    /// Writes .scheduler0 (mode 0600) into the working directory; every node of a cluster needs the
    /// same one
    Init(Init),
    /// Shows the username, and whether the secrets are set
    Show(Show),
}

/// Flags of `credential init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Username; nodes and the command line sign in with it
    #[arg(long)]
    username: Option<String>,
    /// Password; other users of this machine can see flags, so prefer the prompt or --generate
    #[arg(long)]
    password: Option<String>,
    /// Secret key, 64 hex characters
    #[arg(long)]
    secret_key: Option<String>,
    /// Asks nothing: makes strong random values for what no flag gives
    #[arg(long, visible_alias = "yes")]
    generate: bool,
    /// Replaces an existing file; credentials made under the old secret key stop working
    #[arg(long)]
    force: bool,
    /// Takes a password of fewer than 16 characters, or a secret key of one byte over and over; the
    /// node must be started with --weak, too
    #[arg(long)]
    weak: bool,
}

/// Flags of `credential show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Shows the password and the secret key too
    #[arg(long)]
    reveal: bool,
}

/// Carries it out.
pub(super) fn run(
    command: &CredentialCommand,
    global: &Global,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        CredentialCommand::Init(flags) => init(flags, output),
        CredentialCommand::Show(flags) => show(flags, global, output),
    }
}

fn init(flags: &Init, output: Output) -> anyhow::Result<()> {
    let folder = std::env::current_dir()?;
    let path = folder.join(FILE);
    if !flags.force && path.exists() {
        // The error comes before the questions, not after them.
        return Err(crate::secret::Error::Exists(path).into());
    }
    let random = SecretFile::generate();
    let username = match (&flags.username, flags.generate) {
        (Some(name), _) => name.clone(),
        (None, true) => random.auth_username.clone(),
        (None, false) => ask::line("Username", &random.auth_username)?,
    };
    let password = answer(
        flags.password.as_ref(),
        flags.generate,
        "Password (empty: a random one)",
        &random.auth_password,
    )?;
    let secret_key = answer(
        flags.secret_key.as_ref(),
        flags.generate,
        "Secret key, 64 hex characters (empty: a random one)",
        &random.secret_key,
    )?;
    let keys = Keys::new(&secret_key, &username, &password)?;
    keys.check_strength(flags.weak)?;
    let file = SecretFile {
        secret_key: secret_key.to_string(),
        auth_username: username,
        auth_password: password.to_string(),
    };
    file.write(&folder, flags.force)?;
    say(&format!("wrote {} (fingerprint {})", path.display(), keys.fingerprint()));
    say(
        "every node of the cluster needs the same one; keep a copy: without it, what it encrypted is lost",
    );
    if output.is_json() {
        output.json(&json!({
            "file": path,
            "authUsername": keys.username(),
            "fingerprint": keys.fingerprint(),
        }))?;
    }
    Ok(())
}

fn answer(
    flag: Option<&String>,
    generate: bool,
    question: &str,
    random: &str,
) -> anyhow::Result<Zeroizing<String>> {
    let random = || Zeroizing::new(random.to_owned());
    match flag {
        Some(value) => Ok(Zeroizing::new(value.clone())),
        None if generate => Ok(random()),
        None => Ok(ask::secret(question, true)?.unwrap_or_else(random)),
    }
}

fn show(flags: &Show, global: &Global, output: Output) -> anyhow::Result<()> {
    let config = global.load_for_client()?;
    let keys = global.keys(&config)?;
    let file = SecretFile::find(&config.places)?.map(|(path, _)| path);
    let mut shown = json!({
        "authUsername": keys.username(),
        "authPassword": "set",
        "secretKey": "set",
        "fingerprint": keys.fingerprint(),
        "file": file,
    });
    if flags.reveal {
        shown["authPassword"] = keys.password().into();
        shown["secretKey"] = keys.secret_key_hex().as_str().into();
    }
    if output.is_json() {
        return output.json(&shown);
    }
    output.record(&json!({ "data": shown }))
}
