//! A job as a request gives it: texts and numbers by the names of their fields, and nothing of what
//! their values may be. The API's parser makes it; `validate` checks it.

use std::borrow::Cow;

use crate::app::jobs::json_text::JsonText;
use crate::model::ProjectId;

/// A job of a request. A field that is absent, null or empty is `None`. Texts are borrowed from the
/// request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobInput<'a> {
    /// The fields that many jobs share.
    pub definition: DefinitionInput<'a>,
    /// A text, or the JSON of another value.
    pub data: Option<Cow<'a, str>>,
    /// `active` or `inactive`.
    pub status: Option<Cow<'a, str>>,
    /// The instant of a one-off.
    pub at: Option<Cow<'a, str>>,
    /// The end of a pause.
    pub pause_until: Option<Cow<'a, str>>,
    /// The client's own id.
    pub external_id: Option<Cow<'a, str>>,
    /// The name that the caller gives itself.
    pub modified_by: Option<Cow<'a, str>>,
    /// The fields that were given as null: a patch clears them.
    pub nulls: Names,
}

impl JobInput<'_> {
    /// The same input, borrowed from nothing.
    pub fn into_owned(self) -> JobInput<'static> {
        let owned = |text: Option<Cow<'_, str>>| text.map(|text| text.into_owned().into());
        JobInput {
            definition: self.definition.into_owned(),
            data: owned(self.data),
            status: owned(self.status),
            at: owned(self.at),
            pause_until: owned(self.pause_until),
            external_id: owned(self.external_id),
            modified_by: owned(self.modified_by),
            nulls: self.nulls,
        }
    }
}

/// The fields of a job that make its definition.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct DefinitionInput<'a> {
    /// The project.
    pub project: Option<ProjectId>,
    /// The schedule of a recurring job.
    pub spec: Option<Cow<'a, str>>,
    /// The name of a zone.
    pub timezone: Option<Cow<'a, str>>,
    /// The URL of callbacks.
    pub callback_url: Option<Cow<'a, str>>,
    /// `http`.
    pub execution_type: Option<Cow<'a, str>>,
    /// The first date.
    pub start_date: Option<Cow<'a, str>>,
    /// The last date.
    pub end_date: Option<Cow<'a, str>>,
    /// A named executor.
    pub executor: Option<u64>,
    /// Retries after the first attempt.
    pub retry_max: Option<u64>,
    /// The name that the creator gives itself.
    pub created_by: Option<Cow<'a, str>>,
    /// `true` if the job has `at`. The instant itself is the job's own.
    pub at: bool,
    /// The fields that few jobs have, as the JSON in which they were given, without nulls. The last
    /// of equal names counts.
    pub rare: Vec<(Name, JsonText<'a>)>,
    /// The settings of a target of another kind, by kind, as the JSON in which they were given;
    /// `None` for null. The last of equal names counts.
    pub settings: Vec<(&'static str, Option<JsonText<'a>>)>,
}

/// Names the rare fields and the kinds only: the JSON of `http` and of settings has secrets.
impl std::fmt::Debug for DefinitionInput<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rare: Vec<_> = self.rare.iter().map(|(name, _)| name).collect();
        let kinds: Vec<_> = self.settings.iter().map(|(kind, _)| kind).collect();
        f.debug_struct("DefinitionInput")
            .field("project", &self.project)
            .field("spec", &self.spec)
            .field("at", &self.at)
            .field("executor", &self.executor)
            .field("rare", &rare)
            .field("settings", &kinds)
            .finish_non_exhaustive()
    }
}

impl DefinitionInput<'_> {
    fn into_owned(self) -> DefinitionInput<'static> {
        let owned = |text: Option<Cow<'_, str>>| text.map(|text| text.into_owned().into());
        let json = |json: JsonText<'_>| json.into_owned();
        DefinitionInput {
            project: self.project,
            spec: owned(self.spec),
            timezone: owned(self.timezone),
            callback_url: owned(self.callback_url),
            execution_type: owned(self.execution_type),
            start_date: owned(self.start_date),
            end_date: owned(self.end_date),
            executor: self.executor,
            retry_max: self.retry_max,
            created_by: owned(self.created_by),
            at: self.at,
            rare: self.rare.into_iter().map(|(name, given)| (name, json(given))).collect(),
            settings: self.settings.into_iter().map(|(kind, it)| (kind, it.map(json))).collect(),
        }
    }

    /// The JSON of a field that few jobs have.
    pub fn rare(&self, name: Name) -> Option<&str> {
        self.rare.iter().find(|(known, _)| *known == name).map(|(_, json)| &**json)
    }

    /// The JSON of the settings of a kind.
    pub fn settings(&self, kind: &str) -> Option<&str> {
        let given = self.settings.iter().find(|(known, _)| *known == kind);
        given.and_then(|(_, json)| json.as_deref())
    }

    /// Says whether the settings of a kind were given as null.
    pub fn clears_settings(&self, kind: &str) -> bool {
        self.settings.iter().any(|(known, json)| *known == kind && json.is_none())
    }

    /// Says whether a target is named, of whatever kind.
    pub fn names_target(&self) -> bool {
        self.callback_url.is_some()
            || self.rare(Name::Http).is_some()
            || self.settings.iter().any(|(_, json)| json.is_some())
            || self.executor.is_some()
    }
}

/// The name of a field of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// `projectId`.
    Project,
    /// `spec`.
    Spec,
    /// `at`.
    At,
    /// `after`.
    After,
    /// `timezone`.
    Timezone,
    /// `callbackUrl`.
    CallbackUrl,
    /// `http`.
    Http,
    /// The settings of a target of another kind, under its name.
    Settings,
    /// `executorId`.
    Executor,
    /// `message`.
    Message,
    /// `executionType`.
    ExecutionType,
    /// `startDate`.
    StartDate,
    /// `endDate`.
    EndDate,
    /// `dst`.
    Dst,
    /// `jitter`.
    Jitter,
    /// `misfire`.
    Misfire,
    /// `retryMax`.
    RetryMax,
    /// `retryDelay`.
    RetryDelay,
    /// `retryFactor`.
    RetryFactor,
    /// `retryMaxDelay`.
    RetryMaxDelay,
    /// `timeout`.
    Timeout,
    /// `overlap`.
    Overlap,
    /// `runTimeout`.
    RunTimeout,
    /// `heartbeatTimeout`.
    HeartbeatTimeout,
    /// `startTimeout`.
    StartTimeout,
    /// `cancelTimeout`.
    CancelTimeout,
    /// `retryOn`.
    RetryOn,
    /// `maxQueue`.
    MaxQueue,
    /// `workerName`.
    WorkerName,
    /// `allowConcurrentRuns`: another name for two values of `overlap`.
    AllowConcurrentRuns,
    /// `deleteAfterRun`.
    DeleteAfterRun,
    /// `labels`.
    Labels,
    /// `createdBy`.
    CreatedBy,
    /// `data`.
    Data,
    /// `status`.
    Status,
    /// `pauseUntil`.
    PauseUntil,
    /// `externalId`.
    ExternalId,
    /// `modifiedBy`.
    ModifiedBy,
    /// A field that only answers set, or an unknown one.
    Ignored,
}

impl Name {
    /// The camelCase name, for errors.
    pub fn camel(self) -> Option<&'static str> {
        Some(match self {
            Self::Project => "projectId",
            Self::Spec => "spec",
            Self::At => "at",
            Self::After => "after",
            Self::Timezone => "timezone",
            Self::CallbackUrl => "callbackUrl",
            Self::Http => "http",
            Self::Executor => "executorId",
            Self::Message => "message",
            Self::ExecutionType => "executionType",
            Self::StartDate => "startDate",
            Self::EndDate => "endDate",
            Self::Dst => "dst",
            Self::Jitter => "jitter",
            Self::Misfire => "misfire",
            Self::RetryMax => "retryMax",
            Self::RetryDelay => "retryDelay",
            Self::RetryFactor => "retryFactor",
            Self::RetryMaxDelay => "retryMaxDelay",
            Self::Timeout => "timeout",
            Self::Overlap => "overlap",
            Self::RunTimeout => "runTimeout",
            Self::HeartbeatTimeout => "heartbeatTimeout",
            Self::StartTimeout => "startTimeout",
            Self::CancelTimeout => "cancelTimeout",
            Self::RetryOn => "retryOn",
            Self::MaxQueue => "maxQueue",
            Self::WorkerName => "workerName",
            Self::AllowConcurrentRuns => "allowConcurrentRuns",
            Self::DeleteAfterRun => "deleteAfterRun",
            Self::Labels => "labels",
            Self::CreatedBy => "createdBy",
            Self::Data => "data",
            Self::Status => "status",
            Self::PauseUntil => "pauseUntil",
            Self::ExternalId => "externalId",
            Self::ModifiedBy => "modifiedBy",
            Self::Settings | Self::Ignored => return None,
        })
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names(u64);

impl Names {
    /// Adds a field.
    pub fn add(&mut self, name: Name) {
        self.0 |= 1 << name as u32;
    }

    /// Says whether a field is in the set.
    pub fn has(self, name: Name) -> bool {
        self.0 & (1 << name as u32) != 0
    }
}
