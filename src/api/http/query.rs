//! The query parameters of each route. A parameter that is unknown, empty or given twice is
//! refused: it was meant to narrow the answer, and without it the answer would be wider than the
//! client asked for. `middleware::authenticate` calls [`check`] for every closed route; handlers
//! read the values through `RequestContext`. Probes and metrics have no parameters and ignore those
//! that are given.
//!
//! A new parameter is added to the table here. A test holds the table against the routes.

use axum::http::Method;

use crate::api::http::context::parameters;
use crate::api::http::error::Error;
use crate::app::fields::canonical;

/// The most parameters of a request.
const MOST: usize = 64;

/// The parameters of lists.
const PAGE: &[&str] = &["limit", "offset", "orderBy", "orderByDirection", "orderDirection"];
/// The parameter of lists that go on by key.
const AFTER: &[&str] = &["after"];
/// The parameter of reads.
const READ: &[&str] = &["consistency"];
/// The bounds of an interval, by the names of the documents and by those of the published clients.
const TIME: &[&str] = &["from", "until", "startDate", "endDate"];
/// Accepted by every route and ignored: the header `X-Account-ID` is what chooses an account.
const ANY: &[&str] = &["accountId"];
/// The parameters that may be given several times, each with the routes where it may.
const MANY: &[(&str, &str)] = &[("label", "/jobs"), ("state", "/runs")];

type Names = &'static [&'static [&'static str]];

/// The parameters of a route beside [`ANY`], by method and path without prefix. A route that is not
/// listed has none.
const KNOWN: &[(&str, &str, Names)] = &[
    ("GET", "/projects", &[PAGE, AFTER, READ]),
    ("GET", "/projects/{id}", &[READ]),
    ("DELETE", "/projects/{id}", &[&["cascade"]]),
    ("GET", "/projects/{id}/jobs/by-external-id/{external}", &[READ]),
    ("GET", "/jobs", &[&["projectId", "status", "label", "externalId"], PAGE, AFTER, READ]),
    ("GET", "/jobs/{id}", &[READ]),
    ("GET", "/jobs/{id}/next", &[&["count"], READ]),
    ("GET", "/jobs/{id}/explain", &[&["at"], READ]),
    ("GET", "/jobs/{id}/occurrences", &[TIME, &["limit"], READ]),
    ("GET", "/executors", &[PAGE, AFTER, READ]),
    ("GET", "/executors/{id}", &[READ]),
    ("GET", "/templates", &[&["projectId", "type", "userTriggered", "active"], PAGE, AFTER, READ]),
    ("GET", "/templates/{id}", &[READ]),
    ("DELETE", "/templates/{id}", &[&["terminate"]]),
    ("GET", "/templates/{id}/versions", &[PAGE, AFTER, READ]),
    ("GET", "/templates/{id}/instances", &[&["state"], PAGE, AFTER, READ]),
    ("POST", "/templates/import", &[&["projectId", "executorId", "dryRun"]]),
    ("GET", "/accounts", &[PAGE, AFTER, READ]),
    ("GET", "/accounts/{id}", &[READ]),
    ("GET", "/accounts/{id}/execution-count", &[READ]),
    ("GET", "/credentials", &[PAGE, READ]),
    ("GET", "/credentials/{id}", &[READ]),
    (
        "GET",
        "/executions",
        &[&["projectId", "jobId", "state", "status", "after"], TIME, PAGE, READ],
    ),
    ("GET", "/executions/{id}", &[READ]),
    ("GET", "/executions/totals", &[&["projectId"], READ]),
    ("GET", "/executions/analytics", &[&["projectId", "startTime", "endTime"], TIME, READ]),
    ("GET", "/rates", &[&["projectId"], TIME, READ]),
    ("GET", "/dead-letters", &[&["projectId", "jobId", "target", "after"], TIME, PAGE, READ]),
    ("GET", "/dead-letters/{id}", &[READ]),
    (
        "GET",
        "/runs",
        &[
            &["state", "jobId", "projectId", "queue", "worker"],
            &["createdBefore", "startedBefore", "heartbeatBefore", "limit"],
            AFTER,
            READ,
        ],
    ),
    (
        "GET",
        "/events",
        &[&["types", "projectId", "project", "jobId", "job", "templateId", "template"], AFTER],
    ),
    (
        "GET",
        "/audit",
        &[&["noun", "object", "actor", "projectId", "action", "limit"], TIME, AFTER, READ],
    ),
    ("GET", "/audit/export", &[AFTER, READ]),
    ("GET", "/forecast", &[&["projectId", "from", "until", "buckets"], READ]),
    ("GET", "/upcoming", &[&["projectId", "limit"], READ]),
    ("GET", "/runs/{id}", &[READ]),
    ("GET", "/async-tasks/{id}", &[READ]),
    ("GET", "/workers", &[PAGE]),
    ("GET", "/queues", &[PAGE]),
    ("GET", "/cluster/backup", &[READ]),
    ("POST", "/cluster/backup", &[READ]),
    ("POST", "/cluster/backup-to-file", &[READ]),
    ("DELETE", "/cluster/members/{id}", &[&["force"]]),
];

/// The query parameters of a route, by method and path without prefix. Those that every route takes
/// and ignores are left out.
pub(crate) fn parameters_of(method: &str, path: &str) -> impl Iterator<Item = &'static str> {
    let row = KNOWN.iter().find(|(m, p, _)| (*m, *p) == (method, path));
    row.map_or(&[][..], |(.., names)| *names).iter().copied().flatten().copied()
}

/// True for a parameter that may be given several times at a route.
pub(crate) fn may_repeat(name: &str, path: &str) -> bool {
    MANY.contains(&(name, path))
}

/// Refuses a query with a parameter that the route does not know. `path` is the route's path
/// without prefix.
pub(crate) fn check(method: &Method, path: &str, query: &str) -> Result<(), Error> {
    // Prometheus may send parameters of its own, which narrow nothing here.
    if query.is_empty() || path == "/metrics" {
        return Ok(());
    }
    // HEAD takes the parameters of GET.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let row = KNOWN.iter().find(|(m, p, _)| (*m, *p) == (method, path));
    let named = row.map_or(&[][..], |(.., names)| *names);
    let known = || named.iter().copied().flatten().chain(ANY).copied();
    let given = parameters(query);
    if given.len() > MOST {
        return Err(Error::bad_request(format!("more than {MOST} query parameters")));
    }
    let mut seen: Vec<&str> = Vec::with_capacity(given.len());
    for (given, value) in &given {
        let (mut one, mut other) = ([0; 24], [0; 24]);
        let plain = canonical(given, &mut one);
        let found = known().find(|name| plain.is_some() && canonical(name, &mut other) == plain);
        let Some(name) = found else { return Err(unknown(given, named)) };
        if value.is_empty() {
            let message = format!("{name} is empty: give it a value, or leave it out");
            return Err(Error::invalid(name, message));
        }
        if seen.contains(&name) && !MANY.contains(&(name, path)) {
            return Err(Error::invalid(name, format!("{name} is there twice: give it once")));
        }
        seen.push(name);
    }
    Ok(())
}

fn unknown(given: &str, named: Names) -> Error {
    let shown: String = given.chars().take(40).flat_map(char::escape_default).collect();
    let known: Vec<_> = named.iter().copied().flatten().copied().collect();
    let message = if known.is_empty() {
        format!("there is no query parameter {shown}: this route has none")
    } else {
        format!("there is no query parameter {shown}: this route has {}", known.join(", "))
    };
    Error::bad_request(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_known_wholly_or_refused() {
        let read = |path: &str, query: &str| match check(&Method::GET, path, query) {
            Ok(()) => String::new(),
            Err(error) => {
                assert_eq!(error.status(), 400);
                format!("{error:?}")
            }
        };
        for query in [
            "",
            "status=active&project_id=1&LIMIT=5",
            "label=a%3Db&label=c=d",
            "account_id=1",
            "orderDirection=desc&orderBy=id",
        ] {
            assert_eq!(read("/jobs", query), "", "{query}");
        }
        for (path, query, says) in [
            ("/jobs", "staus=inactive", "no query parameter staus: this route has projectId"),
            ("/jobs", "labels=team%3Dx", "no query parameter labels"),
            ("/jobs", "label[team]=x", "no query parameter label[team]"),
            ("/jobs", "status=", "status is empty"),
            ("/jobs", "status", "status is empty"),
            ("/jobs", "label=a%3Db&label=", "label is empty"),
            ("/jobs", "status=active&Status=inactive", "status is there twice"),
            ("/jobs", "projectId=1&project_id=1", "projectId is there twice"),
            ("/jobs", "=", "no query parameter :"),
            ("/jobs", "a_name_that_is_far_too_long_to_be_one_of_ours=1", "no query parameter"),
            ("/jobs/{id}/next", "limit=1", "this route has count, consistency"),
            ("/cluster/members", "x=1", "this route has none"),
            ("/nowhere", "x=1", "this route has none"),
        ] {
            let refused = read(path, query);
            assert!(refused.contains(says), "{path}?{query}: {refused}");
        }
        let many = vec!["label=a=b"; MOST + 1].join("&");
        assert!(read("/jobs", &many).contains("more than"));
        assert!(check(&Method::POST, "/jobs", "limit=1").is_err());
        assert!(check(&Method::HEAD, "/jobs", "limit=1").is_ok());
    }
}
