//! A project: the folder that jobs live in. Stored by `store::projects`, served by `api::projects`.

use serde::{Deserialize, Serialize};

use super::delivery::Delivery;
use super::target::SigningSecret;
use super::{Millis, ProjectId};

/// A project, as stored and as served (the api chooses the casing).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its number.
    pub id: ProjectId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// When it was created.
    pub created: Millis,
    /// When it was last changed.
    pub modified: Option<Millis>,
    /// Who created it, as the client named itself.
    pub created_by: Option<String>,
    /// Who last changed it.
    pub modified_by: Option<String>,
    /// What its jobs take where they say nothing themselves.
    pub settings: ProjectSettings,
    /// Counts its changes, from 1: what `ETag` shows.
    pub version: u64,
}

/// What the jobs of a project have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectSettings {
    /// Retries, delays, timeout.
    pub delivery: Delivery,
    /// What the callbacks of its jobs are signed with; at most two, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signing: Vec<SigningSecret>,
}
