//! A channel that a chunk holds alone, with its places. Publishers make it, `publish` uses it.
//! Where a chunk ends before all is confirmed, the channel is closed, or else its connection is
//! cut: what is not written yet must not leave later (*no late message*, `connection`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::Channel;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::connection::BrokerConnection;
use crate::metrics::PublishMetrics;

/// The longest time for the close of a channel.
const CLOSING: Duration = Duration::from_secs(10);

/// A channel in use.
pub(crate) struct HeldChannel {
    connection: Arc<BrokerConnection>,
    channel: Channel,
    /// The messages that were handed over and are not confirmed.
    outstanding: AtomicUsize,
    metrics: PublishMetrics,
    /// Whether the channel was given back.
    done: bool,
    places: Vec<OwnedSemaphorePermit>,
}

impl HeldChannel {
    /// A channel with its places, at the connection and wherever else it takes one.
    pub(crate) fn new(
        connection: Arc<BrokerConnection>,
        channel: Channel,
        metrics: PublishMetrics,
        places: Vec<OwnedSemaphorePermit>,
    ) -> Self {
        let outstanding = AtomicUsize::new(0);
        Self { connection, channel, outstanding, metrics, done: false, places }
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(crate) fn connection(&self) -> &BrokerConnection {
        &self.connection
    }

    /// Notes that a message was handed over.
    pub(crate) fn handed(&self) {
        self.outstanding.fetch_add(1, Ordering::SeqCst);
        self.connection.handed();
        self.metrics.handed();
    }

    /// Notes that the broker has decided about a message.
    pub(crate) fn confirmed(&self) {
        self.outstanding.fetch_sub(1, Ordering::SeqCst);
        self.connection.confirmed();
        self.metrics.settled(1);
    }

    /// Gives the channel back: all is confirmed.
    pub(crate) fn give_back(&mut self) {
        self.done = true;
        self.connection.give_back(self.channel.clone());
    }
}

impl Drop for HeldChannel {
    fn drop(&mut self) {
        let left = self.outstanding.load(Ordering::SeqCst);
        let (connection, metrics) = (Arc::clone(&self.connection), self.metrics.clone());
        let settled = move || {
            if left > 0 {
                connection.settled(left);
                metrics.settled(left);
            }
        };
        if self.done || !self.channel.status().connected() {
            settled();
            return;
        }
        let (connection, channel) = (Arc::clone(&self.connection), self.channel.clone());
        let places = std::mem::take(&mut self.places);
        let Ok(runtime) = Handle::try_current() else {
            connection.end("this node is stopping");
            settled();
            return;
        };
        runtime.spawn(async move {
            let closing = channel.close(200, "OK".into());
            if tokio::time::timeout(CLOSING, closing).await.is_err() {
                connection.end("the broker did not close a channel within 10 s");
            }
            settled();
            drop(places);
        });
    }
}
