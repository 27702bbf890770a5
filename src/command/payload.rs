//! The payloads of commands about projects and jobs. The api builds them from requests, `apply`
//! reads them.

use serde::{Deserialize, Serialize};

use crate::model::job::{JobDefinition, JobStatus};
use crate::model::project::ProjectSettings;
use crate::model::{JobId, Millis, ProjectId};

/// A change of the firing of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobAction {
    /// Stops them from firing after the stamp, up to an instant or until they are resumed. What is
    /// due at that instant fires.
    Pause {
        /// The end of the pause, if it is known.
        until: Option<Millis>,
    },
    /// Lets them fire again after the stamp.
    Resume,
    /// Deletes them.
    Delete,
}

/// A change of the firing of a project's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProjectAction {
    /// Stops all of them from firing after the stamp, up to an instant (what is due then fires) or
    /// until the project is resumed. It replaces a pause that holds.
    Pause {
        /// The end of the pause, if it is known.
        until: Option<Millis>,
    },
    /// Lets them fire again after the stamp.
    Resume,
}

/// A new project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewProject {
    /// Its name, unique in the cluster.
    pub name: String,
    /// Its description.
    pub description: String,
    /// The defaults of its jobs.
    #[serde(with = "crate::model::text")]
    pub settings: ProjectSettings,
    /// A pause from the beginning, if it has one.
    pub action: Option<ProjectAction>,
    /// The name of the caller.
    pub by: Option<String>,
}

/// A change of a project; a field that is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectEdit {
    /// The project.
    pub id: ProjectId,
    /// The version that it must still have (`Project::version`).
    pub expect: Option<u64>,
    /// Its new name.
    pub name: Option<String>,
    /// Its new description.
    pub description: Option<String>,
    /// Its new settings, all of them.
    #[serde(with = "crate::model::text")]
    pub settings: Option<ProjectSettings>,
    /// A pause or a resume. Where it is the only field and the project is in that state already,
    /// nothing changes.
    pub action: Option<ProjectAction>,
    /// The name of the caller.
    pub by: Option<String>,
}

/// New jobs, with the definitions that they share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateJobs {
    /// The id of the request, which is that of its async task.
    pub request: u128,
    /// The definitions that `jobs` refer to.
    #[serde(with = "crate::model::text")]
    pub definitions: Vec<JobDefinition>,
    /// The jobs, in the order of the request.
    pub jobs: Vec<NewJob>,
    /// They are a chunk of a larger request, and stay invisible until `ActivateJobs`.
    pub staged: bool,
}

/// A new job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// The index of its definition in `CreateJobs::definitions`.
    pub definition: u32,
    /// Its data, for its target.
    pub data: String,
    /// Its status: `Active` or `Inactive`.
    pub status: JobStatus,
    /// The instant of a one-off (`Timing::At`).
    pub at: Option<Millis>,
    /// The end of its first pause. It fires at that instant and from then on, whatever `status` is.
    pub pause_until: Option<Millis>,
    /// The client's own id of it, unique in its project.
    pub external_id: Option<String>,
}

/// An edit of many jobs: each gets what its definition becomes. A job whose definition is another
/// one by now is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReshapeJobs {
    /// The definitions that change.
    pub definitions: Vec<DefinitionEdit>,
    /// The jobs as ranges (first id, count), ascending.
    pub jobs: Vec<(JobId, u64)>,
    /// The new data of all of them; `None` leaves each its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The name of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The edit of all jobs of a definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionEdit {
    /// The number of the definition that the jobs must still have. Numbers are never given twice.
    pub from: u64,
    /// The definition after the edit.
    pub to: JobDefinition,
    /// The new instant of one-offs; `None` leaves each its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Millis>,
    /// The delay of one-offs counts from the stamp again.
    #[serde(default)]
    pub again: bool,
}

/// All fields of a job after an edit: one that is not to change is given as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEdit {
    /// The job.
    pub id: JobId,
    /// The version that it must still have (`Job::version`).
    pub expect: Option<u64>,
    /// Its new definition.
    #[serde(with = "crate::model::text")]
    pub definition: JobDefinition,
    /// Its new data.
    pub data: String,
    /// Its status: `Active` or `Inactive`. `Completed` and `Disabled` are results and cannot be
    /// asked for: with them the status stays as it is.
    pub status: JobStatus,
    /// The instant of a one-off. `Job::anchor` leaves it as it is, also with `Timing::After`. With
    /// `None`, a delay counts from the stamp again, and an `at` stays as it is. A completed one-off
    /// fires again only at another instant.
    pub at: Option<Millis>,
    /// The end of a pause. The job fires at that instant and from then on, whatever `status` is.
    /// `None` ends such a pause; `Job::paused_until` leaves it as it is.
    pub pause_until: Option<Millis>,
    /// The client's own id of it; `None` removes it.
    pub external_id: Option<String>,
    /// The name of the caller.
    pub by: Option<String>,
}
