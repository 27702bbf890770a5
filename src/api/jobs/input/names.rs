//! The names of a job's fields, in either casing. Only `parse` looks them up; the checks name
//! fields by them in errors.

use crate::app::fields::canonical;

/// A field of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Project,
    Spec,
    At,
    After,
    Timezone,
    CallbackUrl,
    Http,
    Executor,
    ExecutionType,
    StartDate,
    EndDate,
    Dst,
    Jitter,
    Misfire,
    RetryMax,
    RetryDelay,
    RetryFactor,
    RetryMaxDelay,
    Timeout,
    Overlap,
    RunTimeout,
    HeartbeatTimeout,
    DeleteAfterRun,
    Labels,
    CreatedBy,
    Data,
    Status,
    PauseUntil,
    ExternalId,
    ModifiedBy,
    /// A field that only answers set, or an unknown one.
    Ignored,
}

impl Name {
    /// The camelCase name, for errors.
    pub(crate) fn camel(self) -> Option<&'static str> {
        Some(match self {
            Self::Project => "projectId",
            Self::Spec => "spec",
            Self::At => "at",
            Self::After => "after",
            Self::Timezone => "timezone",
            Self::CallbackUrl => "callbackUrl",
            Self::Http => "http",
            Self::Executor => "executorId",
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
            Self::DeleteAfterRun => "deleteAfterRun",
            Self::Labels => "labels",
            Self::CreatedBy => "createdBy",
            Self::Data => "data",
            Self::Status => "status",
            Self::PauseUntil => "pauseUntil",
            Self::ExternalId => "externalId",
            Self::ModifiedBy => "modifiedBy",
            Self::Ignored => return None,
        })
    }

    /// The field of a name as given; `None` for an unknown name.
    pub(crate) fn of(given: &str) -> Option<Self> {
        Some(match given {
            "spec" => Self::Spec,
            "project_id" | "projectId" => Self::Project,
            "callback_url" | "callbackUrl" => Self::CallbackUrl,
            "data" => Self::Data,
            "timezone" => Self::Timezone,
            "execution_type" | "executionType" => Self::ExecutionType,
            _ => match canonical(given, &mut [0; 24])? {
                "spec" => Self::Spec,
                "at" => Self::At,
                "after" => Self::After,
                "projectid" => Self::Project,
                "callbackurl" => Self::CallbackUrl,
                "http" => Self::Http,
                "data" => Self::Data,
                "timezone" => Self::Timezone,
                "executiontype" => Self::ExecutionType,
                "startdate" => Self::StartDate,
                "enddate" => Self::EndDate,
                "executorid" => Self::Executor,
                "dst" => Self::Dst,
                "jitter" => Self::Jitter,
                "misfire" => Self::Misfire,
                "retrymax" => Self::RetryMax,
                "retrydelay" => Self::RetryDelay,
                "retryfactor" => Self::RetryFactor,
                "retrymaxdelay" => Self::RetryMaxDelay,
                "timeout" => Self::Timeout,
                "overlap" => Self::Overlap,
                "runtimeout" => Self::RunTimeout,
                "heartbeattimeout" => Self::HeartbeatTimeout,
                "deleteafterrun" => Self::DeleteAfterRun,
                "labels" => Self::Labels,
                "createdby" => Self::CreatedBy,
                "status" => Self::Status,
                "pauseuntil" => Self::PauseUntil,
                "externalid" => Self::ExternalId,
                "modifiedby" => Self::ModifiedBy,
                "id" | "timezoneoffset" | "lastexecutiondate" | "nextexecutiondate"
                | "nextduedate" | "executionid" | "datecreated" | "datemodified" | "accountid"
                | "deletedby" | "version" => Self::Ignored,
                _ => return None,
            },
        })
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names(u64);

impl Names {
    /// Adds a field.
    pub(crate) fn add(&mut self, name: Name) {
        self.0 |= 1 << name as u32;
    }

    /// Says whether a field is in the set.
    pub(crate) fn has(self, name: Name) -> bool {
        self.0 & (1 << name as u32) != 0
    }
}
