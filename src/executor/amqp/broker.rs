//! Where messages go: the address of a broker with the login, and an exchange. `settings` makes
//! both from an executor's settings, the pool tells connections and channels apart by them. Data
//! only; the password is sealed.

use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::executor::template::ENCODED;
use crate::model::target::Sealed;

/// A broker, a virtual host on it, and the login. Messages with equal ones share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broker {
    /// Whether the connection is encrypted (`amqps`).
    pub tls: bool,
    /// The name or address of the host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The virtual host, decoded: `/` unless the URL names another one.
    pub vhost: String,
    /// The name of the user.
    pub user: String,
    /// The sealed password.
    pub password: Sealed,
    /// The authorities that its certificate may come from beside those of the machine, as PEM;
    /// empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca: String,
}

impl Broker {
    /// Scheme, host, port and virtual host, unless it is `/`: the destination, as limits, breakers
    /// and metrics show it.
    pub fn address(&self) -> String {
        let Self { tls, host, port, vhost, .. } = self;
        let scheme = if *tls { "amqps" } else { "amqp" };
        let host = in_brackets(host);
        let vhost = match vhost.as_str() {
            "/" => String::new(),
            vhost => format!("/{}", utf8_percent_encode(vhost, ENCODED)),
        };
        format!("{scheme}://{host}:{port}{vhost}")
    }
}

/// An exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Exchange {
    /// The name; empty for the default exchange, whose routing keys are names of queues.
    pub(super) name: String,
    /// How it is declared before the first publish; `None` if it must be there.
    pub(super) declare: Option<Declare>,
}

/// The declaration of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Declare {
    /// `direct`, `topic`, `fanout`, `headers` or the name of a plug-in's type.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Whether it survives a restart of the broker.
    pub(super) durable: bool,
    /// Whether the broker deletes it when its last binding goes.
    pub(super) auto_delete: bool,
    /// Whether only other exchanges may publish to it.
    pub(super) internal: bool,
    /// The arguments, by the rules of headers (`message`).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) arguments: Map<String, Value>,
}

/// A host as it stands in URLs.
pub(super) fn in_brackets(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
