//! One connection to a broker: watched while it is used, closed when it is not. `kept` opens it and
//! makes it anew when it has ended; `publish` and `exchanges` use its channels.
//! The client library has a thread for each connection, and repairs nothing by itself.
//!
//! A broker that runs out of memory or disk stops reading from connections that publish, and says
//! so (`connection.blocked`). Nothing is handed over to a blocked connection. It says so only after
//! something was published, so each new connection first publishes an empty message that reaches
//! nobody ([`BrokerConnection::find_alarm`]): an alarm of hours costs the jobs no attempts.
//!
//! **no late message**: what was handed to the library must not leave under a lease that is long
//! over. A connection that is blocked for [`BLOCKED_MS`] with messages handed over, or on which
//! nothing is confirmed for [`UNCONFIRMED_MS`] while something is outstanding, is cut, and
//! `transport` writes nothing after a cut.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Connection, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::failure::{Failure, Unanswered, Unconnected};
use super::inbound::Refused;
use super::login::{LoggedIn, log_in};
use super::options::ConnectOptions;
use super::returns::Returns;
use super::role::Role;
use super::transport::Cut;
use crate::clock::Clock;
use crate::executor::amqp::Broker;
use crate::model::ProjectId;
use crate::secret::SecretText;

/// The most channels in use at a time; fewer where the broker allows fewer.
const MAX_CHANNELS: usize = 128;
/// The time for which a connection may be blocked with messages handed over, in milliseconds.
const BLOCKED_MS: u64 = 10_000;
/// The time without a confirm while messages are outstanding, in milliseconds.
const UNCONFIRMED_MS: u64 = 30_000;
/// The time after which a connection that nobody uses is closed, in milliseconds.
const IDLE_MS: u64 = 300_000;
/// The time between two looks at a connection.
const LOOK: Duration = Duration::from_millis(250);
/// The longest time for an orderly close, and for the look for an alarm.
const CLOSING: Duration = Duration::from_secs(5);
/// The longest time for an answer of the broker to a request.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// The reason of an end over it.
pub(crate) const NO_ANSWER: &str =
    "the broker did not open a channel or declare an exchange within 10 s";
/// The reason where it has ended before it could be used.
const AT_ONCE: &str = "the connection to the broker was lost as soon as it was open";
/// The reason of a close in order.
const CLOSED: &str = "the connection to the broker was closed: nobody used it";
/// The routing key of the message that reaches nobody: a queue that does not exist.
const NOBODY: &str = "scheduler0.look-for-an-alarm";

/// A connection.
pub(crate) struct BrokerConnection {
    library: Connection,
    cut: Arc<Cut>,
    returns: Arc<Returns>,
    clock: Arc<dyn Clock>,
    /// Open channels in confirm mode that nobody uses.
    idle: Mutex<Vec<Channel>>,
    /// The places for channels.
    places: Arc<Semaphore>,
    /// The number of places.
    most: usize,
    /// The channels that may still be opened once the broker has closed one.
    left: AtomicUsize,
    traffic: Traffic,
    /// Whether it is blocked, for those who wait.
    blocked: watch::Sender<bool>,
    /// Whether it has ended, for those who wait.
    ended: watch::Sender<bool>,
    /// The reason why it was cut.
    reason: OnceLock<&'static str>,
}

/// What is under way on a connection. Instants are boot-clock milliseconds.
#[derive(Debug, Default)]
struct Traffic {
    /// The messages that were handed over and are not confirmed.
    outstanding: AtomicUsize,
    /// The instant of the last confirm, or at which the first message became outstanding.
    moved: AtomicU64,
    /// The instant of the last use.
    used: AtomicU64,
    /// Whether a message of a job was confirmed.
    worked: AtomicBool,
}

impl BrokerConnection {
    /// Opens a connection. It closes itself when it is idle for long, and when `owner` is gone.
    pub(crate) async fn open<T: Send + Sync + 'static>(
        (options, role): (&ConnectOptions, Role),
        broker: &Broker,
        password: &SecretText,
        project: ProjectId,
        owner: Weak<T>,
    ) -> Result<Arc<Self>, Unconnected> {
        let logged_in = log_in((options, role), broker, password, project).await?;
        let LoggedIn { library, cut, returns, deadline } = logged_in;
        // A chunk may need one for a declaration beside its own.
        let channels = usize::from(library.configuration().channel_max()) / 2;
        let most = channels.clamp(1, MAX_CHANNELS);
        let clock = Arc::clone(&options.clock);
        let traffic = Traffic { used: clock.boot().into(), ..Traffic::default() };
        let connection = Arc::new(Self {
            library,
            cut,
            returns,
            clock,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(most)),
            most,
            left: channels.into(),
            traffic,
            blocked: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            reason: OnceLock::new(),
        });
        tokio::spawn(attend(Arc::clone(&connection), owner));
        if role == Role::Publisher {
            connection.find_alarm(deadline).await;
        }
        if !connection.is_open() {
            let reason = connection.reason().unwrap_or(AT_ONCE);
            return Err(Unconnected::Refused(Failure::of_connection(reason)));
        }
        Ok(connection)
    }

    /// Publishes a message that reaches nobody, and waits until the broker has confirmed or refused
    /// it, or says that it is blocked. An error shows itself when the connection is used.
    async fn find_alarm(self: &Arc<Self>, deadline: Instant) {
        let asking = async {
            let Ok(channel) = self.open_channel().await else { return };
            let (options, nothing) = (BasicPublishOptions::default(), BasicProperties::default());
            let publish = channel.basic_publish("".into(), NOBODY.into(), options, &[], nothing);
            let Ok(confirm) = publish.await else { return };
            if confirm.await.is_ok() {
                self.give_back(channel);
            }
        };
        let asking = tokio::time::timeout_at(deadline, asking);
        let _ = self.unless_blocked(asking).await;
    }

    /// Runs something up to its end, or until the connection is blocked.
    pub(crate) async fn unless_blocked<T>(&self, asking: impl Future<Output = T>) -> Option<T> {
        let mut blocked = self.blocked.subscribe();
        tokio::select! {
            biased;
            answer = asking => Some(answer),
            // The sender is part of this connection, so this waits until it is blocked.
            _ = blocked.wait_for(|blocked| *blocked) => None,
        }
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        // The sender is part of this connection, so this waits until it has ended.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Whether it can be used.
    pub(crate) fn is_open(&self) -> bool {
        self.library.status().connected() && self.reason.get().is_none() && !self.cut.is_cut()
    }

    /// Whether it gives no places any more. The library never forgets that a broker has closed a
    /// channel, and says so of the next channel with that number. So before the numbers begin
    /// again, another connection takes over, and this one is closed when it is free.
    pub(crate) fn is_used_up(&self) -> bool {
        self.places.is_closed()
    }

    /// Whether the broker takes no messages (`connection.blocked`).
    pub(crate) fn is_blocked(&self) -> bool {
        self.library.status().blocked()
    }

    /// The largest frame that was agreed on, in bytes.
    pub(crate) fn frame_max(&self) -> usize {
        self.library.configuration().frame_max() as usize
    }

    /// The messages that came back.
    pub(crate) fn returns(&self) -> &Returns {
        &self.returns
    }

    /// A place for a channel; `None` when the connection has been closed.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// A channel in confirm mode, for one chunk. The caller has a place.
    pub(crate) async fn channel(self: &Arc<Self>) -> Result<Channel, Unanswered> {
        self.used();
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match kept {
                Some(channel) if channel.status().connected() => return Ok(channel),
                Some(_) => {}
                None => return self.open_channel().await,
            }
        }
    }

    async fn open_channel(self: &Arc<Self>) -> Result<Channel, Unanswered> {
        let select = |channel: Channel| async move {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(channel)
        };
        self.on_new_channel(select).await
    }

    /// Opens a channel, and asks the broker something on it. That goes on in a task of its own: a
    /// broker that does not answer loses the connection even if no call waits so long.
    pub(crate) async fn on_new_channel<T, F>(
        self: &Arc<Self>,
        ask: impl FnOnce(Channel) -> F + Send + 'static,
    ) -> Result<T, Unanswered>
    where
        T: Send + 'static,
        F: Future<Output = lapin::Result<T>> + Send + 'static,
    {
        if self.returns.has_closed() {
            let count = |left: usize| left.checked_sub(1);
            if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_err() {
                self.places.close();
            }
        }
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            this.answered(async { ask(this.library.create_channel().await?).await }).await
        });
        let stopped = || Unanswered::Failed(Failure::of_connection("this node is stopping"));
        task.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Waits for an answer of the broker. One that does not come ends the connection.
    pub(crate) async fn answered<T>(
        &self,
        asked: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Unanswered> {
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.unanswered(&error)),
            Err(_) => {
                // A blocked one answers nothing, and the watch ends it where it must end.
                if !self.is_blocked() {
                    self.end(NO_ANSWER);
                }
                Err(Unanswered::Failed(Failure::of_connection(NO_ANSWER)))
            }
        }
    }

    fn unanswered(&self, error: &lapin::Error) -> Unanswered {
        if !matches!(error.kind(), ErrorKind::ChannelsLimitReached) {
            return Unanswered::Failed(self.failure(error));
        }
        // Closes a channel that nobody uses, for the next one.
        drop(self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop());
        Unanswered::Full
    }

    /// The failure behind an error of the library. The end of the connection concerns no message,
    /// whatever code the broker gives for it.
    pub(crate) fn failure(&self, error: &lapin::Error) -> Failure {
        let failure = Failure::of(error);
        let of_channel = failure.of_channel && self.is_open();
        Failure { of_channel, ..failure }
    }

    /// Keeps a channel on which everything is confirmed.
    pub(crate) fn give_back(&self, channel: Channel) {
        self.used();
        if channel.status().connected() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        }
    }

    /// Notes that a message was handed over.
    pub(crate) fn handed(&self) {
        if self.traffic.outstanding.fetch_add(1, Ordering::SeqCst) == 0 {
            self.traffic.moved.store(self.clock.boot(), Ordering::SeqCst);
        }
    }

    /// Notes that the broker has decided about a message.
    pub(crate) fn confirmed(&self) {
        self.traffic.worked.store(true, Ordering::SeqCst);
        self.settled(1);
    }

    /// Notes that the broker answers what is asked on it: if it ends, the next one is opened soon.
    pub(crate) fn note_worked(&self) {
        self.traffic.worked.store(true, Ordering::SeqCst);
    }

    /// Whether the broker has decided about some message.
    pub(crate) fn has_worked(&self) -> bool {
        self.traffic.worked.load(Ordering::SeqCst)
    }

    /// Notes that so many messages are not outstanding any more.
    pub(crate) fn settled(&self, messages: usize) {
        self.traffic.outstanding.fetch_sub(messages, Ordering::SeqCst);
        self.traffic.moved.store(self.clock.boot(), Ordering::SeqCst);
    }

    /// Ends it at once, for a reason; the first one counts.
    pub(crate) fn end(&self, reason: &'static str) {
        let _ = self.reason.set(reason);
        self.cut.cut();
    }

    /// The reason why it was ended from this side, or is about to be.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        self.reason.get().copied().or_else(|| self.cut.refused().map(|Refused(what)| what))
    }

    /// Whether it was closed because nobody used it.
    pub(crate) fn was_idle(&self) -> bool {
        self.reason() == Some(CLOSED)
    }

    fn used(&self) {
        self.traffic.used.store(self.clock.boot(), Ordering::SeqCst);
    }

    /// Whether nobody has used it for long.
    fn is_idle(&self, now: u64) -> bool {
        let unused = now.saturating_sub(self.traffic.used.load(Ordering::SeqCst)) >= IDLE_MS;
        unused && self.is_free()
    }

    /// Whether no channel is in use.
    fn is_free(&self) -> bool {
        self.places.available_permits() == self.most
    }

    /// Closes it in an orderly way, if the broker answers. From the beginning no call is given it.
    pub(crate) async fn close(&self) {
        let _ = self.reason.set(CLOSED);
        let _ = tokio::time::timeout(CLOSING, self.library.close(200, "OK".into())).await;
        self.end(CLOSED);
    }
}

impl std::fmt::Debug for BrokerConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerConnection").field("traffic", &self.traffic).finish_non_exhaustive()
    }
}

/// Watches a connection until its end (*no late message*).
async fn attend<T>(connection: Arc<BrokerConnection>, owner: Weak<T>) {
    let mut looks = tokio::time::interval(LOOK);
    let mut events = std::pin::pin!(connection.library.events_listener());
    let mut blocked_since = None;
    while connection.is_open() {
        tokio::select! {
            _ = looks.tick() => {}
            // Such as that it is blocked: then the look is due now.
            Some(_) = events.next() => {}
        }
        connection.blocked.send_if_modified(|known| {
            let blocked = connection.is_blocked();
            std::mem::replace(known, blocked) != blocked
        });
        let now = connection.clock.boot();
        let outstanding = connection.traffic.outstanding.load(Ordering::SeqCst) > 0;
        let moved = connection.traffic.moved.load(Ordering::SeqCst);
        blocked_since = connection.is_blocked().then(|| blocked_since.unwrap_or(now));
        if outstanding && blocked_since.is_some_and(|at| now.saturating_sub(at) >= BLOCKED_MS) {
            connection.end("the broker took no messages for 10 s: it lacks memory or disk");
        } else if outstanding && now.saturating_sub(moved) >= UNCONFIRMED_MS {
            connection.end("the broker confirmed nothing for 30 s");
        } else if owner.strong_count() == 0
            || connection.is_idle(now)
            || (connection.is_used_up() && connection.is_free())
        {
            connection.close().await;
        }
    }
    // The library may still try to write.
    connection.cut.cut();
    connection.ended.send_replace(true);
}
