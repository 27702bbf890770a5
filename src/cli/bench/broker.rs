//! The broker of `bench --amqp`: its URL, and connections to it by the bare client library, over
//! plain TCP. `inbox` and `bare_publisher` connect; `messages` gives the URL to the nodes. The
//! password is in no error and no output.

use std::time::Duration;

use lapin::uri::{AMQPAuthority, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::super::Failure;
use crate::executor::{BrokerPassword, BrokerUrl};
use crate::secret::SecretText;

/// The longest time for a connection with its login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The variable with the password of a URL that has none.
pub(super) const PASSWORD: &str = "SCHEDULER0_BENCH_AMQP_PASSWORD";

/// A broker with a login.
pub(super) struct Broker {
    url: BrokerUrl,
    password: SecretText,
}

impl Broker {
    /// Reads a URL. `password` is that of a URL without one.
    pub(super) fn read(text: &str, password: Option<Zeroizing<String>>) -> Result<Self, Failure> {
        let usage = |why: &str| Failure::Usage(format!("--amqp: {why}"));
        let mut url = BrokerUrl::read(text).map_err(|why| usage(&why))?;
        if url.tls {
            return Err(usage("the bare client speaks no TLS: give an amqp:// URL"));
        }
        let given = std::mem::replace(&mut url.password, BrokerPassword::Kept);
        let password = match (given, password) {
            (BrokerPassword::Given(password), _) => password,
            (BrokerPassword::Kept, Some(password)) => password.into(),
            (BrokerPassword::Kept, None) => {
                let missing = format!("it has no password: set {PASSWORD} or {PASSWORD}_FILE");
                return Err(usage(&missing));
            }
        };
        Ok(Self { url, password })
    }

    /// The whole URL, for the nodes.
    pub(super) fn url(&self) -> SecretText {
        let [user, password, vhost] = [&self.url.user, &*self.password, &self.url.vhost]
            .map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC));
        let place = self.place();
        SecretText::from(format!("amqp://{user}:{password}@{place}/{vhost}"))
    }

    /// Scheme, host, port and virtual host, without the login.
    pub(super) fn address(&self) -> String {
        format!(
            "amqp://{}/{}",
            self.place(),
            utf8_percent_encode(&self.url.vhost, NON_ALPHANUMERIC)
        )
    }

    fn place(&self) -> String {
        let BrokerUrl { host, port, .. } = &self.url;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Connects with the bare client library.
    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        let uri = AMQPUri {
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.url.user.clone(),
                    password: self.password.to_string(),
                },
                host: self.url.host.clone(),
                port: self.url.port,
            },
            vhost: self.url.vhost.clone(),
            ..AMQPUri::default()
        };
        let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
        let Ok(connected) = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await else {
            let seconds = CONNECT_TIMEOUT.as_secs();
            anyhow::bail!("--amqp: {} did not answer within {seconds} s", self.address())
        };
        connected.map_err(|error| self.error(&error))
    }

    /// An error of the library in words, with what to do.
    pub(super) fn error(&self, error: &lapin::Error) -> anyhow::Error {
        let address = self.address();
        match error.kind() {
            ErrorKind::ProtocolError(reply) => {
                let (code, said) = (reply.get_id(), reply.get_message());
                anyhow::anyhow!(
                    "--amqp: the broker at {address} said {code} {said}; check user, password, \
                     virtual host, and that the user may declare queues, write and read there"
                )
            }
            ErrorKind::IOError(why) => anyhow::anyhow!(
                "--amqp: no connection to the broker at {address}: {why}; is it running, and is \
                 this its address?"
            ),
            _ => anyhow::anyhow!("--amqp: the broker at {address}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, password: Option<&str>) -> Result<Broker, Failure> {
        Broker::read(text, password.map(|text| Zeroizing::new(text.to_owned())))
    }

    #[test]
    fn nodes_get_the_password_and_people_do_not() {
        let broker = read("amqp://u:p%40%2Fss@h/a%2Fb", None).unwrap();
        assert_eq!(&*broker.url(), "amqp://u:p%40%2Fss@h:5672/a%2Fb");
        assert_eq!(broker.address(), "amqp://h:5672/a%2Fb");
        let broker = read("amqp://u@[::1]:7", Some("hunter2")).unwrap();
        assert_eq!(&*broker.url(), "amqp://u:hunter2@[::1]:7/%2F");
        assert_eq!(&*read("amqp://h", Some("unused")).unwrap().password, "guest");
    }

    #[test]
    fn what_is_no_usable_url_is_refused_without_its_password() {
        for (text, part) in [
            ("http://u:hunter2@h", "must begin with amqp://"),
            ("amqps://u:hunter2@h", "speaks no TLS"),
            ("amqp://u:hunter2@h/v/w", "a / or @ too many"),
            ("amqp://u@h", "SCHEDULER0_BENCH_AMQP_PASSWORD_FILE"),
        ] {
            let Err(error) = read(text, None) else { panic!("{text} is taken") };
            let error = anyhow::Error::from(error);
            assert_eq!(Failure::code(&error), 2, "{text}");
            let said = error.to_string();
            assert!(said.contains(part) && !said.contains("hunter2"), "{said}");
        }
    }
}
