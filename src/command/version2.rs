//! Version 2 of an encoded command, as clusters below level 3 write it and old logs hold it.
//! `codec` reads and writes it. Frozen: it knows what differs from the present form, and nothing
//! new is added here.
//!
//! One thing differs: a new credential was a struct in postcard, and is JSON text now. The command
//! that makes it may be wrapped in others, so these are taken apart here, too.

use postcard::{Result, from_bytes, take_from_bytes, to_extend};
use serde::{Deserialize, Serialize};

use super::commands::Command;
use crate::model::Millis;
use crate::model::credential::Credential;

/// The first byte of a command in this version.
pub(super) const VERSION: u8 = 2;

// The codes of variants: their places in `Command`.
const CREATE_CREDENTIAL: u32 = 10;
const ONCE: u32 = 18;
const FOR_VERSION: u32 = 33;
const BY_CLIENT: u32 = 34;

/// A new credential.
#[derive(Serialize, Deserialize)]
struct CredentialV2 {
    id: u64,
    api_key: String,
    verifier: Vec<u8>,
    archived: bool,
    created: Millis,
    modified: Option<Millis>,
    created_by: Option<String>,
    archived_by: Option<String>,
}

/// Appends a command to the bytes of an entry.
pub(super) fn encode(command: &Command, to: Vec<u8>) -> Result<Vec<u8>> {
    match command {
        Command::CreateCredential(new) => {
            to_extend(&(CREATE_CREDENTIAL, CredentialV2::from(new.clone())), to)
        }
        Command::Once { key, body, command } => encode(command, to_extend(&(ONCE, key, body), to)?),
        Command::ForVersion { job, version, command } => {
            encode(command, to_extend(&(FOR_VERSION, job, version), to)?)
        }
        Command::ByClient { client, command } => {
            encode(command, to_extend(&(BY_CLIENT, client), to)?)
        }
        same => to_extend(same, to),
    }
}

/// Reads a command, without the version before it.
pub(super) fn decode(bytes: &[u8]) -> Result<Command> {
    let (variant, rest) = take_from_bytes::<u32>(bytes)?;
    Ok(match variant {
        CREATE_CREDENTIAL => Command::CreateCredential(from_bytes::<CredentialV2>(rest)?.into()),
        ONCE => {
            let ((key, body), rest) = take_from_bytes(rest)?;
            Command::Once { key, body, command: Box::new(decode(rest)?) }
        }
        FOR_VERSION => {
            let ((job, version), rest) = take_from_bytes(rest)?;
            Command::ForVersion { job, version, command: Box::new(decode(rest)?) }
        }
        BY_CLIENT => {
            let (client, rest) = take_from_bytes(rest)?;
            Command::ByClient { client, command: Box::new(decode(rest)?) }
        }
        _ => from_bytes(bytes)?,
    })
}

impl From<Credential> for CredentialV2 {
    fn from(new: Credential) -> Self {
        let Credential { id, api_key, verifier, archived, created, modified, created_by, .. } = new;
        let archived_by = new.archived_by;
        Self { id, api_key, verifier, archived, created, modified, created_by, archived_by }
    }
}

impl From<CredentialV2> for Credential {
    fn from(old: CredentialV2) -> Self {
        let CredentialV2 { id, api_key, verifier, archived, created, modified, .. } = old;
        let (created_by, archived_by) = (old.created_by, old.archived_by);
        Self {
            id,
            api_key,
            verifier,
            archived,
            created,
            modified,
            created_by,
            archived_by,
            ..Self::default()
        }
    }
}
