//! The login at a broker (SASL, mechanism `PLAIN`): a connection of the client library over a
//! transport. `connection` and `exchanges` ask. The password is in no URL and in no property, and
//! the library asks for it while it connects.

use std::sync::{Arc, Mutex, PoisonError};

use lapin::auth::AuthProvider;
use lapin::types::{LongString, ShortString};
use lapin::uri::{AMQPQueryString, AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, ErrorKind};
use tokio::time::Instant;

use super::connector;
use super::failure::{Failure, Unconnected};
use super::inbound::{CHANNEL_MAX, FRAME_MAX};
use super::options::ConnectOptions;
use super::returns::Returns;
use super::role::Role;
use super::runtime;
use super::transport::Cut;
use super::values::short;
use crate::executor::amqp::Broker;
use crate::executor::outbound::local_error::LocalError;
use crate::model::ProjectId;
use crate::secret::SecretText;

/// The heartbeat that is asked for, in seconds.
const HEARTBEAT: u16 = 30;

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

/// A connection with its login.
pub(crate) struct LoggedIn {
    pub(crate) library: Connection,
    /// Cuts it.
    pub(crate) cut: Arc<Cut>,
    /// The messages that came back on it.
    pub(crate) returns: Arc<Returns>,
    /// The instant up to which it may take to be ready.
    pub(crate) deadline: Instant,
}

/// A connection that is cut unless it is taken over.
pub(crate) struct CutOnDrop(pub(crate) Option<Arc<Cut>>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(cut) = &self.0 {
            cut.cut();
        }
    }
}

/// Opens a connection with its login. Dropping the future ends it.
pub(crate) async fn log_in(
    (options, role): (&ConnectOptions, Role),
    broker: &Broker,
    password: &SecretText,
    project: ProjectId,
) -> Result<LoggedIn, Unconnected> {
    let deadline = Instant::now() + options.connect_timeout;
    let (cut, returns) = (Arc::new(Cut::default()), Arc::new(Returns::default()));
    let mut unless_taken = CutOnDrop(Some(Arc::clone(&cut)));
    // The library takes any text, and fails over a long one.
    let long = short("the name of the virtual host", &broker.vhost).err();
    if let Some(error) = long {
        return Err(Unconnected::Refused(Failure::of_connection(error.to_string())));
    }
    let transport = connector::connect((options, role), broker, project, (&cut, &returns)).await?;
    // The library connects by the transport; of the URL it uses these.
    let uri = AMQPUri {
        scheme: AMQPScheme::AMQP,
        vhost: broker.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(HEARTBEAT),
            frame_max: Some(FRAME_MAX),
            channel_max: Some(CHANNEL_MAX),
            ..AMQPQueryString::default()
        },
        ..AMQPUri::default()
    };
    let login = Login { user: broker.user.clone(), password: password.clone() };
    let properties = ConnectionProperties::default()
        .with_auth_provider(login)
        .with_client_property("product".into(), "scheduler0".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
        .with_connection_name(role.name().into());
    // The library asks once: it makes no second try.
    let transport = Mutex::new(Some(transport));
    let connect = async move |_, _| {
        let transport = transport.lock().unwrap_or_else(PoisonError::into_inner).take();
        let gone = || lapin::Error::from(std::io::Error::from(std::io::ErrorKind::NotConnected));
        transport.map(AsyncTcpStream::Plain).ok_or_else(gone)
    };
    let opening = Connection::connector(uri, runtime::current(), connect, properties);
    match tokio::time::timeout_at(deadline, opening).await {
        Ok(Ok(library)) => {
            unless_taken.0 = None;
            Ok(LoggedIn { library, cut, returns, deadline })
        }
        Ok(Err(error)) => {
            // Such as no thread for the library.
            if let ErrorKind::IOError(why) = error.kind()
                && let Some(local) = LocalError::find(&**why)
            {
                return Err(Unconnected::Local(local));
            }
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
