//! The login at a broker (SASL, mechanism `PLAIN`): a connection of the client library over a
//! transport. `connection` and `exchanges` ask. The password is in no URL and in no property, and
//! the library asks for it while it connects.

use std::sync::{Arc, Mutex, PoisonError};

use lapin::auth::AuthProvider;
use lapin::types::{LongString, ShortString};
use lapin::uri::{AMQPQueryString, AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};

use super::broker::Broker;
use super::connector;
use super::failure::{Failure, Unconnected};
use super::options::PoolOptions;
use super::runtime;
use super::transport::Cut;
use super::values::short;
use crate::model::ProjectId;
use crate::secret::SecretText;

/// The heartbeat that is asked for, in seconds.
const HEARTBEAT: u16 = 30;

/// The largest frame, in bytes. The library has two buffers of 32 frames for each connection; the
/// headers of a message, 8 KB of JSON, have to fit one frame.
const FRAME_MAX: u32 = 32 << 10;

/// A user and the password.
struct Login {
    user: String,
    password: SecretText,
}

impl AuthProvider for Login {
    fn mechanism(&self) -> ShortString {
        "PLAIN".into()
    }

    /// The initial response (RFC 4616): no identity to act as, the user, the password.
    fn auth_starter(&self) -> Result<LongString, String> {
        Ok(LongString::from(format!("\0{}\0{}", self.user, &*self.password)))
    }
}

/// A connection that is cut unless it is taken over.
struct Unused(Option<Arc<Cut>>);

impl Drop for Unused {
    fn drop(&mut self) {
        if let Some(cut) = &self.0 {
            cut.cut();
        }
    }
}

/// Opens a connection with its login; `cut` cuts it. Dropping the future ends it.
pub(super) async fn log_in(
    options: &PoolOptions,
    broker: &Broker,
    password: &SecretText,
    project: ProjectId,
) -> Result<(Connection, Arc<Cut>), Unconnected> {
    let cut = Arc::new(Cut::default());
    let mut unused = Unused(Some(Arc::clone(&cut)));
    // The library takes any text, and fails over a long one.
    let long = short("the name of the virtual host", &broker.vhost).err();
    if let Some(error) = long {
        return Err(Unconnected::Refused(Failure::of_connection(error.to_string())));
    }
    let transport = connector::connect(options, broker, project, &cut).await?;
    // The library connects by the transport; of the URL it uses these.
    let uri = AMQPUri {
        scheme: AMQPScheme::AMQP,
        vhost: broker.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(HEARTBEAT),
            frame_max: Some(FRAME_MAX),
            ..AMQPQueryString::default()
        },
        ..AMQPUri::default()
    };
    let login = Login { user: broker.user.clone(), password: password.clone() };
    let properties = ConnectionProperties::default()
        .with_auth_provider(login)
        .with_client_property("product".into(), "scheduler0".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
        .with_connection_name("scheduler0 publisher".into());
    // The library asks once: it makes no second try.
    let transport = Mutex::new(Some(transport));
    let connect = async move |_, _| {
        let transport = transport.lock().unwrap_or_else(PoisonError::into_inner).take();
        let gone = || lapin::Error::from(std::io::Error::from(std::io::ErrorKind::NotConnected));
        transport.map(AsyncTcpStream::Plain).ok_or_else(gone)
    };
    let opening = Connection::connector(uri, runtime::current(), connect, properties);
    match tokio::time::timeout(options.connect_timeout, opening).await {
        Ok(Ok(connection)) => {
            unused.0 = None;
            Ok((connection, cut))
        }
        Ok(Err(error)) => {
            let mut failure = Failure::of(&error);
            failure.text = format!("login: {}", failure.text);
            Err(Unconnected::Refused(failure))
        }
        Err(_) => {
            let text = format!("timeout: no login within {:?}", options.connect_timeout);
            Err(Unconnected::Unreached { text, anybody: false })
        }
    }
}
