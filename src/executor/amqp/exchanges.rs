//! The exchanges of one connection: the places for channels of each, and whether it is there.
//! `pool` asks before a chunk is published. An exchange is declared, or looked for, on a channel of
//! its own that is closed afterwards, so a missing one closes no channel of others. A broker ends
//! the whole connection over a type that it does not know, so types of plug-ins are declared on a
//! connection of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lapin::options::ExchangeDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::broker::{Broker, Exchange};
use crate::executor::broker::connection::{ANSWER, BrokerConnection, NO_ANSWER};
use crate::executor::broker::failure::{Failure, NOT_FOUND, Unanswered, Unconnected};
use crate::executor::broker::login::{CutOnDrop, LoggedIn, log_in};
use crate::executor::broker::options::ConnectOptions;
use crate::executor::broker::role::Role;
use crate::executor::broker::values::{TooLong, short, table, table_bytes};
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

/// The most bytes of a declaration's frame beside its arguments: two short texts, and the rest.
const BESIDE_ARGUMENTS: usize = 2 * 256 + 32;

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
    /// The connection of its own could not be made, or the connection has no room for a channel.
    Unconnected(Unconnected),
}

/// What a declaration needs beside the connection.
#[derive(Clone, Copy)]
pub(super) struct Declaring<'a> {
    pub(super) options: &'a ConnectOptions,
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
        connection: &Arc<BrokerConnection>,
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
    connection: &Arc<BrokerConnection>,
    exchange: &Exchange,
    declaring: Declaring<'_>,
) -> Result<(), Unusable> {
    let refused = |text: String| Unusable::Refused(Failure::of_connection(text));
    let declaration = Declaration::new(exchange).map_err(|error| refused(error.to_string()))?;
    let most = connection.frame_max().saturating_sub(BESIDE_ARGUMENTS);
    if table_bytes(&declaration.arguments) > most {
        return Err(refused(format!("its arguments have more than {most} bytes")));
    }
    if matches!(declaration.kind, ExchangeKind::Custom(_)) {
        return look_apart(declaration, declaring).await;
    }
    let declared = connection.on_new_channel(move |channel| declare(channel, declaration)).await;
    declared.map_err(|error| match error {
        Unanswered::Full => Unusable::Unconnected(Unconnected::Full),
        Unanswered::Failed(failure) if failure.of_channel => Unusable::Refused(failure),
        Unanswered::Failed(failure) => Unusable::Lost(failure),
    })
}

/// Declares an exchange on a connection of its own.
async fn look_apart(declaration: Declaration, to: Declaring<'_>) -> Result<(), Unusable> {
    let own = log_in((to.options, Role::Publisher), to.broker, to.password, to.project).await;
    let LoggedIn { library, cut, .. } = own.map_err(Unusable::Unconnected)?;
    let _cut = CutOnDrop(Some(cut));
    let declared = async { declare(library.create_channel().await?, declaration).await };
    match tokio::time::timeout(ANSWER, declared).await {
        Ok(Ok(())) => Ok(()),
        // The end of this connection is an answer, too, if it says why.
        Ok(Err(error)) => match Failure::of(&error) {
            failure if failure.number() == 0 => Err(Unusable::Lost(failure)),
            failure => Err(Unusable::Refused(failure)),
        },
        Err(_) => Err(Unusable::Lost(Failure::of_connection(NO_ANSWER))),
    }
}

/// The declaration of an exchange, or the question whether it is there.
struct Declaration {
    name: ShortString,
    kind: ExchangeKind,
    options: ExchangeDeclareOptions,
    arguments: FieldTable,
}

impl Declaration {
    fn new(exchange: &Exchange) -> Result<Self, TooLong> {
        let name = short("exchange", &exchange.name)?;
        let Some(to) = &exchange.declare else {
            let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
            let (kind, arguments) = (ExchangeKind::Direct, FieldTable::default());
            return Ok(Self { name, kind, options, arguments });
        };
        short("type", &to.kind)?;
        let options = ExchangeDeclareOptions {
            passive: false,
            durable: to.durable,
            auto_delete: to.auto_delete,
            internal: to.internal,
            nowait: false,
        };
        Ok(Self { name, kind: kind(&to.kind), options, arguments: table(&to.arguments)? })
    }
}

/// Declares an exchange, or finds out whether it is there, and closes the channel.
async fn declare(channel: Channel, declaration: Declaration) -> lapin::Result<()> {
    let Declaration { name, kind, options, arguments } = declaration;
    channel.exchange_declare(name, kind, options, arguments).await?;
    channel.close(200, "OK".into()).await
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
