//! URLs of brokers, read by the AMQP URI specification of RabbitMQ and shown without their
//! password. `validate` and `show` call it. No error quotes a part of the URL: a character that
//! should have been encoded may have moved the password into any part.

use percent_encoding::{percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

use super::broker::{Broker, in_brackets};
use crate::executor::template::ENCODED;
use crate::model::target_pattern::TargetAddress;
use crate::secret::SecretText;

/// The longest URL, in bytes.
const LONGEST_URL: usize = 4_096;
/// The longest user name, and the longest name of a virtual host (an AMQP short text), in bytes.
const LONGEST_NAME: usize = 255;
/// The longest password, in bytes.
const LONGEST_PASSWORD: usize = 1_024;
/// The text that stands for a password that is not shown.
const HIDDEN: &str = "***";
/// The user, and the password, of a URL that names neither.
const GUEST: &str = "guest";
/// The virtual host of a URL that names none.
const ROOT: &str = "/";

/// The parameters that client libraries know, and what there is instead.
const PARAMETERS: [(&str, &str); 10] = [
    ("heartbeat", "heartbeats are agreed upon with the broker"),
    ("connection_timeout", "the timeout of the job bounds the connection"),
    ("channel_max", "channels are agreed upon with the broker"),
    ("frame_max", "frames are agreed upon with the broker"),
    ("auth_mechanism", "the login is user and password (PLAIN)"),
    ("cacertfile", "give the certificates as ca"),
    ("certfile", "client certificates are not sent to brokers"),
    ("keyfile", "client certificates are not sent to brokers"),
    ("verify", "the certificate of the broker is always verified"),
    ("server_name_indication", "the certificate must bear the host of the URL"),
];

/// A URL of a broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BrokerUrl {
    /// Whether the scheme is `amqps`.
    pub(crate) tls: bool,
    /// The host: a name in lower case, or an address without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The virtual host, decoded.
    pub(crate) vhost: String,
    /// The user, decoded.
    pub(crate) user: String,
    /// The password.
    pub(crate) password: Password,
}

/// The password of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Password {
    /// It is left out or hidden: the one that was set for the same user and address stays.
    Kept,
    /// It is given.
    Given(SecretText),
}

impl BrokerUrl {
    /// Reads a URL. The error is the reason why it is none.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST_URL {
            return Err(format!("it has more than {LONGEST_URL} bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("it has blanks or control characters in it: encode them, as %20".to_owned());
        }
        if text.contains("{{") {
            return Err("placeholders may not stand in it; encode a { as %7B".to_owned());
        }
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "amqp" => false,
            "amqps" => true,
            _ => return Err("it must begin with amqp:// or amqps://".to_owned()),
        };
        if rest.contains('#') {
            return Err("it has a # in it: encode it as %23".to_owned());
        }
        if let Some((_, query)) = rest.split_once('?') {
            return Err(parameters(query));
        }
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let vhost = vhost(path.unwrap_or_default())?;
        let (info, address) = match authority.rsplit_once('@') {
            Some((info, address)) => (Some(info), address),
            None => (None, authority),
        };
        let (user, password) = login(info)?;
        let (host, port) = host_and_port(address)?;
        let port = port.unwrap_or(if tls { 5_671 } else { 5_672 });
        Ok(Self { tls, host, port, vhost, user, password })
    }

    /// Whether a password that was set for a broker may be sent to this address, by this user.
    pub(super) fn keeps_password_of(&self, broker: &Broker) -> bool {
        (self.tls, self.port) == (broker.tls, broker.port)
            && (&self.host, &self.vhost, &self.user) == (&broker.host, &broker.vhost, &broker.user)
    }
}

/// The URL of a broker as clients see it. Read again, it keeps the password.
pub(in crate::executor) fn shown(broker: &Broker) -> String {
    let user = utf8_percent_encode(&broker.user, ENCODED);
    let vhost = utf8_percent_encode(&broker.vhost, ENCODED);
    let (scheme, usual) = if broker.tls { ("amqps", 5_671) } else { ("amqp", 5_672) };
    let port = if broker.port == usual { String::new() } else { format!(":{}", broker.port) };
    format!("{scheme}://{user}:{HIDDEN}@{}{port}/{vhost}", in_brackets(&broker.host))
}

/// The address of a broker as an HTTP URL, which the target guard checks.
pub(super) fn for_guard(broker: &Broker) -> Result<Url, String> {
    let scheme = if broker.tls { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{}:{}/", in_brackets(&broker.host), broker.port));
    url.map_err(|error| error.to_string())
}

/// The address of a broker, for the list of a project.
pub(in crate::executor) fn call_address(broker: &Broker) -> Option<TargetAddress> {
    let host = for_guard(broker).ok()?.host()?.to_owned();
    let scheme = if broker.tls { "amqps" } else { "amqp" };
    Some(TargetAddress { scheme, host, port: broker.port })
}

/// The reason why a query is refused. Only names of the list are shown.
fn parameters(query: &str) -> String {
    let named = |known: &&(&str, &str)| {
        query.split('&').any(|pair| pair.split('=').next() == Some(known.0))
    };
    match PARAMETERS.iter().find(named) {
        Some((name, instead)) => format!("it has the parameter {name}: leave it out, {instead}"),
        None => "it has a ? in it: parameters are not understood, and a ? in user, password or \
                 virtual host is written %3F"
            .to_owned(),
    }
}

/// The virtual host of a path.
fn vhost(path: &str) -> Result<String, String> {
    // An @ means that the password has a slash in it.
    if path.contains(['/', '@']) {
        return Err("it has a / or @ too many: within user, password and virtual host they are \
                    written %2F and %40"
            .to_owned());
    }
    let vhost = decoded("the virtual host", path, LONGEST_NAME)?;
    Ok(if vhost.is_empty() { ROOT.to_owned() } else { vhost })
}

/// User and password of the part before the `@`.
fn login(info: Option<&str>) -> Result<(String, Password), String> {
    let Some(info) = info else {
        return Ok((GUEST.to_owned(), Password::Given(GUEST.to_owned().into())));
    };
    let (user, password) = match info.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (info, None),
    };
    if info.contains('@') || password.is_some_and(|password| password.contains(':')) {
        return Err("user and password have a : or @ in them: write %3A and %40".to_owned());
    }
    let user = decoded("the user", user, LONGEST_NAME)?;
    if user.is_empty() {
        return Err("it names no user: amqp://user:password@host:port/vhost".to_owned());
    }
    let password = match password {
        None | Some(HIDDEN) => Password::Kept,
        Some(given) => Password::Given(decoded("the password", given, LONGEST_PASSWORD)?.into()),
    };
    Ok((user, password))
}

/// Host and port of the part after the `@`.
fn host_and_port(address: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match address.rsplit_once(':') {
        // A colon within brackets belongs to the address.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    };
    let port = port.map(|port| {
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0);
        port.ok_or_else(|| "its port must be a number from 1 to 65535".to_owned())
    });
    if host.is_empty() {
        return Err("it must name a host".to_owned());
    }
    let host = match Host::parse(host) {
        Ok(Host::Domain(name)) if !name.contains(['{', '}', '*']) => name,
        Ok(Host::Ipv4(ip)) => ip.to_string(),
        Ok(Host::Ipv6(ip)) => ip.to_string(),
        Ok(Host::Domain(_)) | Err(_) => {
            return Err("its host is neither a name nor an address".to_owned());
        }
    };
    Ok((host, port.transpose()?))
}

/// A part of a URL without its percent-encoding.
fn decoded(part: &str, text: &str, longest: usize) -> Result<String, String> {
    let mut rest = text.split('%');
    rest.next();
    let coded = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let text = percent_decode_str(text).decode_utf8();
    match text {
        Ok(text) if rest.all(coded) => {
            if text.len() > longest {
                return Err(format!("{part} has more than {longest} bytes"));
            }
            if text.chars().any(char::is_control) {
                return Err(format!("{part} has control characters in it"));
            }
            Ok(text.into_owned())
        }
        _ => Err(format!("{part} is not percent-encoded UTF-8: write a % as %25")),
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
