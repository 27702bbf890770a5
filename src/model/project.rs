//! A project: the folder that jobs live in. Stored by `store::projects`, served by `api::projects`.

use serde::{Deserialize, Serialize};

use super::delivery::Delivery;
use super::target::SigningSecret;
use super::target_pattern::TargetPattern;
use super::{Millis, ProjectId};

/// A project, as stored and as served (the api chooses the casing).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// The project's number.
    pub id: ProjectId,
    /// The name, unique in the cluster.
    pub name: String,
    /// A text for people; nothing depends on it.
    pub description: String,
    /// The instant of its creation.
    pub created: Millis,
    /// The instant of its last change.
    pub modified: Option<Millis>,
    /// The creator, as the client named itself.
    pub created_by: Option<String>,
    /// The client that changed it last.
    pub modified_by: Option<String>,
    /// The defaults of its jobs.
    pub settings: ProjectSettings,
    /// Counts its changes, from 1: what `ETag` shows.
    pub version: u64,
}

/// The settings that the jobs of a project share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectSettings {
    /// Retries, delays, timeout.
    pub delivery: Delivery,
    /// The secrets that sign the callbacks of its jobs; at most two, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signing: Vec<SigningSecret>,
    /// Where its jobs may call, within what a node allows; none for all of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_targets: Vec<TargetPattern>,
}
