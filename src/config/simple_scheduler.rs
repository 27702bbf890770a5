//! The settings of Simple Scheduler, by its own names (`SIMPLE_SCHEDULER_*`): what has a meaning
//! here is taken, of the rest a warning says why it has none and what to do instead. `layers` asks,
//! after all layers of ours, and only for a node that starts: a key that one of them sets is never
//! touched. A password is shown to nobody, and nothing is connected to or created because of these
//! variables.

use std::collections::BTreeMap;

use url::Url;

use super::{Error, Origin, keys};

/// The prefix of the variables.
pub(super) const PREFIX: &str = "SIMPLE_SCHEDULER_";
/// The address that the API listens on: `host:port`, or `:port` for all addresses.
const API_URL: &str = "API_URL";
/// The keys of ours that say where a node is. One that is set leaves the address to them.
const ADDRESSES: [&str; 4] = ["Host", "Port", "NodeAdvAddress", "Replicas"];
/// The issuer of access tokens.
const OIDC_ISSUER: &str = "OIDC_ISSUER";
/// The client to which tokens of that issuer were given, where no key of ours says another.
const OIDC_CLIENT: &str = "simple-scheduler-cli";
/// The kind of broker.
const BUS_TYPE: &str = "MESSAGEBUS_TYPE";
/// The URL of the broker, with a password.
const BUS_URL: &str = "MESSAGEBUS_CONNECTION_STRING";
/// The settings without a meaning here: the reason, and what there is instead.
const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("MAX_JOBS", "the jobs are spread over the nodes by shard, evenly, and none is left out"),
    ("DB_TYPE", NO_DATABASE),
    ("DB_CONNECTION_STRING", NO_DATABASE),
    ("DB_NAME", NO_DATABASE),
    ("CLEANUP_INTERVAL", STUCK),
    ("CLEANUP_INTERVAL_SECONDS", STUCK),
    ("CACHE_REFRESH_INTERVAL", "a change of a job holds from the moment at which it is answered"),
    (
        "HEARTBEAT_TIMEOUT",
        "a node that dies is replaced when its lease ends (RaftElectionTimeout); how long a worker \
         may be silent is the heartbeatTimeout of a job or a queue, else \
         WorkerHeartbeatTimeoutSeconds",
    ),
    ("HEARTBEAT_INTERVAL", "nodes renew their leases by themselves (RaftHeartbeatTimeout)"),
    ("OAUTH2_REDIRECT_URL", NO_LOGIN),
    ("OAUTH2_SECRET", NO_LOGIN),
    ("OAUTH2_PROVIDER_TYPE", NO_LOGIN),
];
const NO_LOGIN: &str = "a node signs nobody in at an issuer, it only takes the access tokens that \
                        clients got there: see OidcIssuers and docs/oidc.md";
const STUCK: &str = "a run that is stuck is seen to when its time is over: give the job a \
                     startTimeout, runTimeout or cancelTimeout";
const NO_DATABASE: &str = "there is no database beside the nodes, each has the whole state in its \
                           DataDir: create the jobs anew, with POST /jobs";

/// What the variables say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// The keys that they set, with their values.
    pub(super) values: Vec<(&'static str, String, Origin)>,
    /// What is said of them in the log of the start.
    pub(super) warnings: Vec<String>,
}

/// Reads the variables. `is_free` says whether no layer of ours sets a key. An empty value is none.
///
/// # Errors
///
/// `Invalid` for an address that cannot be listened on, if it would count.
pub(super) fn read(
    env: &BTreeMap<String, String>,
    is_free: impl Fn(&str) -> bool,
) -> Result<Found, Error> {
    let mut found = Found::default();
    for (variable, value) in env {
        let Some(name) = variable.strip_prefix(PREFIX) else { continue };
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        let reason = WITHOUT_MEANING.iter().find(|(known, _)| *known == name);
        let said = match (name, reason) {
            (_, Some((_, why))) => format!("{variable} has no meaning here: {why}"),
            (API_URL, None) => take_address(&mut found, variable, value, &is_free)?,
            (OIDC_ISSUER, None) => take_issuer(&mut found, variable, value, &is_free),
            (BUS_TYPE, None) => of_bus(variable, value),
            (BUS_URL, None) => of_broker(variable, value),
            // A Kubernetes service called `simple-scheduler` puts them into every pod beside it.
            _ if keys::is_service_link(variable, value) => continue,
            _ => format!("{variable} is ignored: it is not known here"),
        };
        found.warnings.push(said);
    }
    Ok(found)
}

/// Takes the address of the API as `Host` and `Port`, both or neither: half of it would let the API
/// listen where nobody meant it to. A node that has an address for others has one for itself.
fn take_address(
    found: &mut Found,
    variable: &str,
    value: &str,
    is_free: impl Fn(&str) -> bool,
) -> Result<String, Error> {
    let set: Vec<_> = ADDRESSES.iter().copied().filter(|key| !is_free(key)).collect();
    if !set.is_empty() {
        let (set, verb) = (set.join(", "), if set.len() == 1 { "is" } else { "are" });
        return Ok(format!(
            "{variable} is ignored: {set} {verb} set, and it counts whole or not at all"
        ));
    }
    let origin = Origin::Environment(variable.to_owned());
    let address = value.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse::<u16>().ok()?;
        (!host.contains('/')).then_some((host, port))
    });
    let Some((host, port)) = address else {
        let message = "expected host:port, or :port for all addresses, as Simple Scheduler listens \
                       on; or set SCHEDULER0_HOST and SCHEDULER0_PORT";
        let key = "Port".to_owned();
        return Err(Error::Invalid { key, origin, message: message.to_owned() });
    };
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let said = format!(
        "{variable} is taken as Host {host} and Port {port}: SCHEDULER0_HOST and SCHEDULER0_PORT \
         say the same, and to clients too"
    );
    found.values.push(("Host", host.to_owned(), origin.clone()));
    found.values.push(("Port", port.to_string(), origin));
    Ok(said)
}

/// Takes the issuer of access tokens. Simple Scheduler asks for no audience; a node must have one,
/// or it would take the tokens of each service of the issuer.
fn take_issuer(
    found: &mut Found,
    variable: &str,
    value: &str,
    is_free: impl Fn(&str) -> bool,
) -> String {
    if let Some(set) = ["OidcIssuers", "OidcIssuer"].into_iter().find(|key| !is_free(key)) {
        return format!("{variable} is ignored: {set} is set");
    }
    let origin = Origin::Environment(variable.to_owned());
    found.values.push(("OidcIssuer", value.to_owned(), origin.clone()));
    if !is_free("OidcAudience") || !is_free("OidcClientId") {
        return format!("{variable} is taken as OidcIssuer");
    }
    found.values.push(("OidcClientId", OIDC_CLIENT.to_owned(), origin));
    format!(
        "{variable} is taken as OidcIssuer, and {OIDC_CLIENT} as OidcClientId: tokens of other \
         clients need OidcAudience or OidcIssuers"
    )
}

fn of_bus(variable: &str, kind: &str) -> String {
    if kind.eq_ignore_ascii_case("rabbitmq") {
        return format!(
            "{variable} has no meaning by itself: the bus is a setting of each queue, an executor \
             of type worker; see {PREFIX}{BUS_URL} in docs/compatibility.md"
        );
    }
    format!(
        "{variable} is ignored: a queue has bus rabbitmq, or embedded for workers without broker"
    )
}

/// The request that makes the queue of a broker.
fn of_broker(variable: &str, url: &str) -> String {
    let url = masked(url).unwrap_or_else(|| "amqp://user:***@host:5672/".to_owned());
    format!(
        "{variable} is not connected to: brokers belong to queues. Make one once, with the password \
         in the place of ***: POST /executors {{\"name\": \"simple-scheduler\", \"type\": \
         \"worker\", \"worker\": {{\"bus\": \"rabbitmq\", \"url\": \"{url}\"}}}}; each job names it \
         (executorId), and by workerName its workers"
    )
}

/// A URL without its password and without what follows the path; `None` if it cannot be read, and
/// nothing of it is to be shown.
fn masked(text: &str) -> Option<String> {
    // A `/`, `?` or `#` that a password has as it is ends the host and port of the URL early, and
    // what is meant as password stands where the path is: an `@` behind that gives it away.
    let (_, behind_scheme) = text.split_once("://")?;
    let end = behind_scheme.find(['/', '?', '#']).unwrap_or(behind_scheme.len());
    if behind_scheme[end..].contains('@') {
        return None;
    }
    let mut url = Url::parse(text).ok().filter(Url::has_host)?;
    if !matches!(url.scheme(), "amqp" | "amqps") {
        return None;
    }
    if url.password().is_some() {
        url.set_password(Some("***")).ok()?;
    }
    url.set_query(None);
    url.set_fragment(None);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one variable while these keys are free.
    fn read_one(name: &str, value: &str, free: &[&str]) -> Result<Found, Error> {
        let env = [(format!("{PREFIX}{name}"), value.to_owned())].into();
        read(&env, |key| free.contains(&key))
    }

    fn said(name: &str, value: &str) -> String {
        let found = read_one(name, value, &ADDRESSES).unwrap();
        assert_eq!(found.values, [], "{name}");
        let [said] = <[String; 1]>::try_from(found.warnings).unwrap();
        assert!(said.starts_with(&format!("{PREFIX}{name} ")), "{said}");
        said
    }

    #[test]
    fn each_setting_without_a_meaning_says_what_there_is_instead() {
        for (name, part) in [
            ("MAX_JOBS", "by shard"),
            ("DB_TYPE", "DataDir"),
            ("DB_CONNECTION_STRING", "POST /jobs"),
            ("DB_NAME", "DataDir"),
            ("CLEANUP_INTERVAL", "runTimeout"),
            ("CACHE_REFRESH_INTERVAL", "holds from the moment"),
            ("HEARTBEAT_TIMEOUT", "WorkerHeartbeatTimeoutSeconds"),
            ("HEARTBEAT_INTERVAL", "leases"),
            ("MESSAGEBUS_TYPE", "has no meaning by itself"),
            ("CLEANUP_INTERVAL_SECONDS", "runTimeout"),
            ("OAUTH2_REDIRECT_URL", "OidcIssuers"),
            ("OAUTH2_SECRET", "OidcIssuers"),
            ("OAUTH2_PROVIDER_TYPE", "OidcIssuers"),
            ("CRON", "it is not known here"),
        ] {
            let said = said(name, "rabbitmq");
            assert!(said.contains(part), "{said}");
            assert_eq!(read_one(name, " ", &[]).unwrap(), Found::default(), "an empty one is none");
        }
        assert!(said("MESSAGEBUS_TYPE", "kafka").contains("embedded"));
        assert_eq!(WITHOUT_MEANING.len(), 12, "each is in the list above");
    }

    #[test]
    fn the_address_of_the_api_becomes_host_and_port_where_no_address_is_set() {
        let values = |value: &str, free: &[&str]| {
            let found = read_one("API_URL", value, free).unwrap();
            let origin = Origin::Environment("SIMPLE_SCHEDULER_API_URL".to_owned());
            assert!(found.values.iter().all(|(.., from)| *from == origin));
            let values = found.values.into_iter().map(|(key, value, _)| format!("{key} {value}"));
            (values.collect::<Vec<_>>().join(", "), found.warnings.concat())
        };
        for (given, taken) in [
            (":8081", "Host 0.0.0.0, Port 8081"),
            ("localhost:80", "Host localhost, Port 80"),
            ("[::1]:8080", "Host [::1], Port 8080"),
        ] {
            let (values, said) = values(given, &ADDRESSES);
            assert_eq!(values, taken);
            assert!(said.contains(&taken.replace(", ", " and ")), "{said}");
        }
        for set in ADDRESSES {
            let free: Vec<_> = ADDRESSES.into_iter().filter(|key| *key != set).collect();
            let (none, said) = values("nonsense", &free);
            assert_eq!(none, "", "{set}");
            assert!(said.contains(&format!("is ignored: {set} is set")), "{said}");
        }
        for wrong in ["8080", "http://localhost:8080/api", ":http", ":70000", "http://a:80"] {
            let error = read_one("API_URL", wrong, &ADDRESSES).unwrap_err().to_string();
            assert!(error.contains("SIMPLE_SCHEDULER_API_URL"), "{error}");
            assert!(error.contains("host:port") && error.contains("SCHEDULER0_PORT"), "{error}");
        }
    }

    #[test]
    fn the_password_of_a_broker_is_never_said() {
        for (given, shown) in [
            (
                "amqp://guest:hunter2@localhost:5672/",
                "\"url\": \"amqp://guest:***@localhost:5672/\"",
            ),
            ("amqps://u:hunter2@h/v?password=hunter2#hunter2", "\"amqps://u:***@h/v\""),
            ("amqp://localhost:5672/", "\"amqp://localhost:5672/\""),
            ("guest:hunter2@localhost", "amqp://user:***@host:5672/"),
            ("http://guest:hunter2@localhost/", "amqp://user:***@host:5672/"),
            ("amqp:hunter2", "amqp://user:***@host:5672/"),
            ("amqp://guest:/hunter2@host:5672/", "amqp://user:***@host:5672/"),
            ("amqp://guest:123/hunter2@host/", "amqp://user:***@host:5672/"),
            ("amqp://guest:12#hunter2@h", "amqp://user:***@host:5672/"),
            ("amqp://guest:12?hunter2@h/v", "amqp://user:***@host:5672/"),
            ("amqp://guest:p@hunter2@h/v", "\"amqp://guest:***@h/v\""),
        ] {
            let said = said("MESSAGEBUS_CONNECTION_STRING", given);
            assert!(said.contains(shown) && !said.contains("hunter2"), "{said}");
            assert!(said.contains("POST /executors") && said.contains("workerName"), "{said}");
        }
        for name in ["DB_CONNECTION_STRING", "MESSAGEBUS_TYPE", "CRON"] {
            assert!(!said(name, "x://u:hunter2@h/").contains("hunter2"));
        }
    }

    #[test]
    fn links_of_a_service_are_no_settings() {
        for (name, value) in [
            ("PORT", "tcp://10.0.0.1:8081"),
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT_HTTP", "8081"),
            ("PORT_8081_TCP_ADDR", "10.0.0.1"),
        ] {
            assert_eq!(read_one(name, value, &ADDRESSES).unwrap(), Found::default(), "{name}");
        }
    }

    #[test]
    fn the_documents_have_a_line_on_each_setting() {
        let page = include_str!("../../docs/compatibility.md");
        let own = [API_URL, OIDC_ISSUER, BUS_TYPE, BUS_URL];
        for name in WITHOUT_MEANING.iter().map(|(name, _)| *name).chain(own) {
            assert!(page.contains(&format!("`{PREFIX}{name}`")), "{name}");
        }
    }
}
