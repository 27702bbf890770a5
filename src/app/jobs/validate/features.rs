//! The check that the account of a job's project has the features that the job needs. Here are also
//! those that only a schedule, an executor or the address of a target tells; `command::apply`
//! judges the rest once more, exactly. Nothing is read while all accounts have all features.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rusqlite::Connection;
use url::{Host, Url};

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::state::App;
use crate::executor::guard::TargetGuard;
use crate::model::ProjectId;
use crate::model::feature::{Feature, Features, LARGE_PAYLOAD, MINUTE};
use crate::model::job::JobDefinition;
use crate::model::target::Executor;
use crate::schedule::{Schedule, parse_zone};
use crate::store::{accounts, projects};

/// The occurrences of a schedule that are compared: of several within a minute, two are among them.
const COMPARED: usize = 3;

/// The features that the accounts of some projects have; nothing is known of any while all accounts
/// have all features.
#[derive(Default)]
pub(in crate::app::jobs) struct KnownFeatures(BTreeMap<ProjectId, Features>);

impl KnownFeatures {
    /// The features that the account of a project has.
    pub(in crate::app::jobs) fn of(&self, project: ProjectId) -> Features {
        self.0.get(&project).copied().unwrap_or(Features::ALL)
    }
}

/// Looks up the features for the projects of definitions.
pub(in crate::app::jobs) async fn of_projects(
    app: &App,
    actor: &Actor,
    definitions: &[JobDefinition],
) -> Result<KnownFeatures, Error> {
    if app.auth.accounts(&app.cluster).await?.have_all_features() {
        return Ok(KnownFeatures::default());
    }
    let projects: BTreeSet<ProjectId> = definitions.iter().map(|one| one.project).collect();
    let read = move |conn: &Connection| {
        let mut found = BTreeMap::new();
        for project in projects {
            found.insert(project, of_project(conn, project)?);
        }
        Ok(found)
    };
    app.read(actor, read).await.map(KnownFeatures)
}

/// The features of a project's account; all of them where the project does not exist, which others
/// refuse.
pub(in crate::app::jobs) fn of_project(
    conn: &Connection,
    project: ProjectId,
) -> rusqlite::Result<Features> {
    let Some(account) = projects::account(conn, project)? else { return Ok(Features::ALL) };
    Ok(accounts::get(conn, account)?.map_or(Features::ALL, |account| account.features))
}

/// Refuses a definition that needs a feature beyond those that its account has.
pub(in crate::app::jobs) fn check(
    has: Features,
    definition: &JobDefinition,
    executor: Option<&Executor>,
) -> Result<(), Error> {
    if has == Features::ALL {
        return Ok(());
    }
    let own = definition.features("") | of_schedule(definition);
    let missing = (own | of_target(definition, executor)).without(has);
    match missing.iter().next() {
        Some(first) => Err(disabled(missing, definition.project).field(field(first, definition))),
        None => Ok(()),
    }
}

/// Refuses data that is larger than the account of its job may have.
pub(in crate::app::jobs) fn check_data(
    has: Features,
    project: ProjectId,
    data: &str,
) -> Result<(), Error> {
    if data.len() <= LARGE_PAYLOAD || has.has(Feature::LargePayloads) {
        return Ok(());
    }
    let missing = Features::NONE.with(Feature::LargePayloads);
    Err(disabled(missing, project).field("data"))
}

fn disabled(missing: Features, project: ProjectId) -> Error {
    let message = format!(
        "feature disabled: the account of project {project} lacks {missing}, which the job needs"
    );
    Error::feature_disabled(message)
}

/// The field by which a job needs a feature.
fn field(feature: Feature, definition: &JobDefinition) -> &'static str {
    match feature {
        Feature::SubMinute => "spec",
        Feature::LongRuns if definition.heartbeat_timeout.is_some() => "heartbeatTimeout",
        Feature::LongRuns => "runTimeout",
        Feature::LargePayloads => "data",
        Feature::HttpTargets | Feature::PrivateTargets if definition.executor.is_some() => {
            "executorId"
        }
        Feature::HttpTargets => "http",
        Feature::PrivateTargets if definition.http.is_some() => "http",
        Feature::PrivateTargets => "callbackUrl",
    }
}

/// What the schedule needs. A cron line with several seconds has occurrences within a minute.
fn of_schedule(definition: &JobDefinition) -> Features {
    if definition.is_one_off() {
        return Features::NONE;
    }
    let zone = parse_zone(&definition.timezone).unwrap_or(chrono_tz::Tz::UTC);
    let Ok(schedule) = Schedule::stored(&definition.spec, zone, definition.dst, 0) else {
        return Features::NONE;
    };
    let mut after = 0;
    let mut last = None;
    for _ in 0..COMPARED {
        let Some(next) = schedule.next(0, after) else { break };
        if last.is_some_and(|last| next - last < MINUTE) {
            return Features::NONE.with(Feature::SubMinute);
        }
        (last, after) = (Some(next), next);
    }
    Features::NONE
}

/// What the target needs, whether the job has it itself or an executor.
fn of_target(definition: &JobDefinition, executor: Option<&Executor>) -> Features {
    let mut urls = vec![definition.callback_url.as_str()];
    urls.extend(definition.http.as_deref().map(|http| http.url.as_str()));
    urls.extend(definition.target.as_ref().and_then(|own| own.settings["url"].as_str()));
    let mut needed = Features::NONE;
    if let Some(executor) = executor {
        urls.push(&executor.webhook_url);
        urls.extend(executor.settings.as_ref().and_then(|settings| settings["url"].as_str()));
        if let Some(http) = &executor.http {
            urls.push(&http.url);
            needed = needed.with(Feature::HttpTargets);
        }
    }
    let is_private = urls.into_iter().any(is_private);
    if is_private { needed.with(Feature::PrivateTargets) } else { needed }
}

/// Says whether a URL shows that it leads to a loopback or private address. Names are resolved when
/// a call is made, where the rule of targets decides.
fn is_private(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let strict =
        TargetGuard { allow_loopback: false, allow_private: false, ..TargetGuard::default() };
    let refuses = |ip: IpAddr| strict.check_address(ip).is_err();
    match url.host() {
        Some(Host::Ipv4(ip)) => refuses(ip.into()),
        Some(Host::Ipv6(ip)) => refuses(ip.into()),
        // The host of a scheme that is not special is a name even where it is an address.
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let of_loopback = name == "localhost" || name.ends_with(".localhost");
            of_loopback || name.parse().is_ok_and(refuses)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::Timing;
    use crate::model::target::HttpTarget;

    fn needs(definition: &JobDefinition, executor: Option<&Executor>) -> String {
        let own = definition.features("") | of_schedule(definition);
        (own | of_target(definition, executor)).to_string()
    }

    fn cron(spec: &str) -> JobDefinition {
        let (timing, spec, timezone) = (Timing::Spec, spec.to_owned(), "UTC".to_owned());
        JobDefinition { spec, timezone, timing, ..JobDefinition::default() }
    }

    #[test]
    fn several_seconds_of_a_minute_are_less_than_a_minute_apart() {
        for (spec, needed) in [
            ("* * * * *", ""),
            ("30 * * * * *", ""),
            ("0 0 12 1 1 *", ""),
            ("0,30 0 12 1 1 *", "sub_minute"),
            ("*/10 * * * * *", "sub_minute"),
            ("59,0 0 0 * * *", "sub_minute"),
        ] {
            assert_eq!(needs(&cron(spec), None), needed, "{spec}");
        }
        let once = JobDefinition { timing: Timing::At, ..cron("* * * * * *") };
        assert_eq!(needs(&once, None), "");
    }

    #[test]
    fn private_addresses_are_seen_in_urls_of_jobs_and_executors() {
        for (url, is_it) in [
            ("http://10.1.2.3/x", true),
            ("http://127.0.0.1:3000/", true),
            ("http://[::1]/", true),
            ("http://[::ffff:192.168.0.1]/", true),
            ("http://0x7f.1/", true),
            ("https://LOCALHOST./", true),
            ("http://a.localhost/", true),
            ("amqp://10.0.0.1/", true),
            ("https://example.com/", false),
            ("http://93.184.216.34/", false),
            ("amqp://mq.example.com/", false),
            ("", false),
        ] {
            assert_eq!(is_private(url), is_it, "{url}");
        }
        let own = JobDefinition { callback_url: "http://10.0.0.1/".into(), ..cron("* * * * *") };
        assert_eq!(needs(&own, None), "private_targets");
        let http = HttpTarget { url: "http://10.0.0.1/".into(), ..HttpTarget::default() };
        let executor = Executor { http: Some(Box::new(http)), ..Executor::default() };
        assert_eq!(needs(&cron("* * * * *"), Some(&executor)), "http_targets, private_targets");
    }

    #[test]
    fn what_is_switched_off_is_named_with_the_field() {
        let every = JobDefinition { period: Some(1_000), project: 7, ..cron("@every 1s") };
        let error = check(Features::NONE, &every, None).unwrap_err();
        assert_eq!(error.field_name(), Some("spec"));
        assert!(error.detail().contains("project 7 lacks sub_minute"), "{error}");
        assert!(check(Features::ALL, &every, None).is_ok());
        let large = "x".repeat(LARGE_PAYLOAD + 1);
        assert!(check_data(Features::NONE, 7, &large[1..]).is_ok());
        assert_eq!(check_data(Features::NONE, 7, &large).unwrap_err().field_name(), Some("data"));
        assert!(check_data(Features::ALL, 7, &large).is_ok());
    }
}
