//! The exchanges of one connection: the places for channels of each, and whether it is there.
//! `pool` asks before a chunk is published. An exchange is declared, or looked for, on a channel of
//! its own that is closed afterwards, so a missing one closes no channel of others. A broker ends
//! the whole connection over a type that it does not know, so types of plug-ins are declared on a
//! connection of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lapin::options::ExchangeDeclareOptions;
use lapin::{Channel, ExchangeKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::broker::{Broker, Exchange};
use super::connection::BrokerConnection;
use super::failure::{Failure, NOT_FOUND, Unconnected};
use super::login::log_in;
use super::options::PoolOptions;
use super::values::{short, table};
use crate::model::ProjectId;
use crate::secret::SecretText;

/// The most chunks of an exchange under way at a time.
const MAX_CHANNELS: usize = 8;
/// The time for which an exchange counts as there, in milliseconds.
const YES_MS: u64 = 60_000;
/// The time for which it counts as missing, in milliseconds.
const NO_MS: u64 = 5_000;
/// The most exchanges that are known of a connection; above it those go that nobody uses.
const KEPT: usize = 1_024;

/// The exchanges.
#[derive(Default)]
pub(super) struct Exchanges(Mutex<HashMap<Exchange, Arc<Known>>>);

/// What is known of an exchange.
pub(super) struct Known {
    places: Arc<Semaphore>,
    /// The result of the last look, and its instant in boot-clock milliseconds.
    looked: tokio::sync::Mutex<Option<(u64, Result<(), Failure>)>>,
}

/// The reason why an exchange cannot be used.
pub(super) enum Unusable {
    /// The broker says so.
    Refused(Failure),
    /// The connection failed meanwhile.
    Lost(Failure),
    /// The connection of its own could not be made.
    Unconnected(Unconnected),
}

/// What a declaration needs beside the connection.
#[derive(Clone, Copy)]
pub(super) struct Declaring<'a> {
    pub(super) options: &'a PoolOptions,
    pub(super) broker: &'a Broker,
    pub(super) password: &'a SecretText,
    pub(super) project: ProjectId,
}

impl Exchanges {
    /// What is known of an exchange.
    pub(super) fn get(&self, exchange: &Exchange) -> Arc<Known> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(exchange) {
            return Arc::clone(known);
        }
        if known.len() >= KEPT {
            known.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let new = Arc::new(Known {
            places: Arc::new(Semaphore::new(MAX_CHANNELS)),
            looked: tokio::sync::Mutex::default(),
        });
        known.insert(exchange.clone(), Arc::clone(&new));
        new
    }
}

impl Known {
    /// A place for a chunk.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Makes sure that the exchange is there.
    pub(super) async fn ensure(
        &self,
        connection: &BrokerConnection,
        exchange: &Exchange,
        declaring: Declaring<'_>,
    ) -> Result<(), Unusable> {
        // The default exchange is always there, and may not be declared.
        if exchange.name.is_empty() {
            return Ok(());
        }
        let mut looked = self.looked.lock().await;
        let now = declaring.options.clock.boot();
        if let Some((at, result)) = &*looked {
            let fresh = if result.is_ok() { YES_MS } else { NO_MS };
            if now.saturating_sub(*at) < fresh {
                return result.clone().map_err(Unusable::Refused);
            }
        }
        *looked = None;
        let result = match look(connection, exchange, declaring).await {
            Ok(()) => Ok(()),
            Err(Unusable::Refused(failure)) => Err(failure),
            Err(other) => return Err(other),
        };
        *looked = Some((declaring.options.clock.boot(), result.clone()));
        result.map_err(Unusable::Refused)
    }

    /// Forgets that the exchange is there.
    pub(super) async fn forget(&self) {
        *self.looked.lock().await = None;
    }
}

async fn look(
    connection: &BrokerConnection,
    exchange: &Exchange,
    declaring: Declaring<'_>,
) -> Result<(), Unusable> {
    let is_foreign = exchange
        .declare
        .as_ref()
        .is_some_and(|to| matches!(kind(&to.kind), ExchangeKind::Custom(_)));
    if is_foreign {
        let Declaring { options, broker, password, project } = declaring;
        let own = log_in(options, broker, password, project).await;
        let (library, cut) = own.map_err(Unusable::Unconnected)?;
        let declared = async { declare(library.create_channel().await?, exchange).await }.await;
        // An error of the connection is the answer, too.
        let declared = declared.map_err(|error| match error {
            Declined::Broker(error) => Unusable::Refused(Failure::of(&error)),
            Declined::Local(text) => Unusable::Refused(Failure::of_connection(text)),
        });
        cut.cut();
        return declared;
    }
    let declared = async { declare(connection.plain_channel().await?, exchange).await }.await;
    declared.map_err(|error| match error {
        Declined::Broker(error) => {
            let failure = Failure::of(&error);
            if failure.of_channel { Unusable::Refused(failure) } else { Unusable::Lost(failure) }
        }
        Declined::Local(text) => Unusable::Refused(Failure::of_connection(text)),
    })
}

/// The reason why an exchange is not declared.
enum Declined {
    Broker(lapin::Error),
    Local(String),
}

impl From<lapin::Error> for Declined {
    fn from(error: lapin::Error) -> Self {
        Self::Broker(error)
    }
}

/// Declares an exchange, or finds out whether it is there, and closes the channel.
async fn declare(channel: Channel, exchange: &Exchange) -> Result<(), Declined> {
    let local = |error: super::values::TooLong| Declined::Local(error.to_string());
    let name = short("exchange", &exchange.name).map_err(local)?;
    match &exchange.declare {
        None => {
            let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
            let arguments = lapin::types::FieldTable::default();
            channel.exchange_declare(name, ExchangeKind::Direct, options, arguments).await?;
        }
        Some(to) => {
            short("type", &to.kind).map_err(local)?;
            let options = ExchangeDeclareOptions {
                passive: false,
                durable: to.durable,
                auto_delete: to.auto_delete,
                internal: to.internal,
                nowait: false,
            };
            let arguments = table(&to.arguments).map_err(local)?;
            channel.exchange_declare(name, kind(&to.kind), options, arguments).await?;
        }
    }
    channel.close(200, "OK".into()).await?;
    Ok(())
}

fn kind(name: &str) -> ExchangeKind {
    match name {
        "direct" => ExchangeKind::Direct,
        "topic" => ExchangeKind::Topic,
        "fanout" => ExchangeKind::Fanout,
        "headers" => ExchangeKind::Headers,
        other => ExchangeKind::Custom(other.to_owned()),
    }
}

/// Whether a failure says that the exchange is missing.
pub(super) fn is_missing(failure: &Failure) -> bool {
    failure.of_channel && failure.number() == NOT_FOUND
}
