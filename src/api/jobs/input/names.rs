//! The names of a job's fields in requests, in either casing. Only `parse` looks them up.

use crate::app::fields::canonical;
use crate::app::jobs::input::Name;

/// The field of a name as given; `None` for an unknown name.
pub(crate) fn named(given: &str) -> Option<Name> {
    Some(match given {
        "spec" => Name::Spec,
        "project_id" | "projectId" => Name::Project,
        "callback_url" | "callbackUrl" => Name::CallbackUrl,
        "data" => Name::Data,
        "timezone" => Name::Timezone,
        "execution_type" | "executionType" => Name::ExecutionType,
        _ => match canonical(given, &mut [0; 24])? {
            "spec" => Name::Spec,
            "at" => Name::At,
            "after" => Name::After,
            "projectid" => Name::Project,
            "callbackurl" => Name::CallbackUrl,
            "http" => Name::Http,
            "data" => Name::Data,
            "timezone" => Name::Timezone,
            "executiontype" => Name::ExecutionType,
            "startdate" => Name::StartDate,
            "enddate" => Name::EndDate,
            "executorid" => Name::Executor,
            "message" => Name::Message,
            "dst" => Name::Dst,
            "jitter" => Name::Jitter,
            "misfire" => Name::Misfire,
            "retrymax" => Name::RetryMax,
            "retrydelay" => Name::RetryDelay,
            "retryfactor" => Name::RetryFactor,
            "retrymaxdelay" => Name::RetryMaxDelay,
            "timeout" => Name::Timeout,
            "overlap" => Name::Overlap,
            "runtimeout" => Name::RunTimeout,
            "heartbeattimeout" => Name::HeartbeatTimeout,
            "starttimeout" => Name::StartTimeout,
            "canceltimeout" => Name::CancelTimeout,
            "retryon" => Name::RetryOn,
            "maxqueue" => Name::MaxQueue,
            "workername" => Name::WorkerName,
            "allowconcurrentruns" => Name::AllowConcurrentRuns,
            "deleteafterrun" => Name::DeleteAfterRun,
            "labels" => Name::Labels,
            "createdby" => Name::CreatedBy,
            "status" => Name::Status,
            "pauseuntil" => Name::PauseUntil,
            "externalid" => Name::ExternalId,
            "modifiedby" => Name::ModifiedBy,
            "id" | "timezoneoffset" | "lastexecutiondate" | "nextexecutiondate" | "nextduedate"
            | "executionid" | "datecreated" | "datemodified" | "accountid" | "deletedby"
            | "version" | "template" | "templateid" | "templateversion" => Name::Ignored,
            _ => return None,
        },
    })
}
