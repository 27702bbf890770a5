//! The reads of clients: few at a time, each bounded in time, and fair between those who ask. Every
//! handler reads through [`AppState::read`]; `super::authenticate` says for whom. What fires has
//! readers of its own and never waits here. It never reads for a node's own sake, and it does not
//! know what is read. The thread whose read is over begins the next one itself.
//!
//! | bound | value | beyond it |
//! |---|---|---|
//! | reads at a time | [`PLACES`] | the next one waits |
//! | those of one client | half while others wait, else all but one | the same |
//! | reads that wait | [`WAITING`] | who has most of them loses the newest: 503 |
//! | waiting and reading | [`CLIENTS_WAIT`], [`OPERATORS_WAIT`] | ended: 503 |
//!
//! A read is ended, too, when its client goes: the future is dropped, and SQLite notices.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::Error;
use super::state::AppState;
use crate::auth::Caller;
use crate::cluster;
use crate::store::{Class, End, ReadLimit};

/// Reads of clients at a time: as many as there are connections for them.
const PLACES: usize = 6;
/// Reads that wait for a place, of all clients together. They take no thread and no connection.
const WAITING: usize = 1_024;
/// How long a client's read may take, its waiting included.
const CLIENTS_WAIT: Duration = Duration::from_secs(2);
/// The same for operators.
const OPERATORS_WAIT: Duration = Duration::from_secs(30);

tokio::task_local! {
    static READER: Reader;
}

/// Who reads: all requests of a client are one reader, with whatever key of its tree, and all
/// operators another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reader {
    /// An operator.
    Operator,
    /// A client, by the number of the credential at the root of its tree.
    Client(u64),
    /// Somebody who did not have to say.
    Nobody,
}

/// How far a request has come when it reads: how long that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was written yet: [`AppState::read`].
    Asked,
    /// The answer to a write that was done: [`AppState::read_owed`].
    Done,
}

impl Stage {
    fn patience(self, reader: Reader) -> Duration {
        match self {
            Self::Asked => reader.patience(),
            Self::Done => OPERATORS_WAIT,
        }
    }
}

impl From<Caller> for Reader {
    fn from(caller: Caller) -> Self {
        match caller {
            Caller::Operator => Self::Operator,
            Caller::Client { root, .. } => Self::Client(root),
        }
    }
}

impl Reader {
    /// Whose request is worked on here.
    pub(super) fn current() -> Self {
        READER.try_with(|reader| *reader).unwrap_or(Self::Nobody)
    }

    /// Works on a request of this reader.
    pub(super) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        READER.scope(self, work).await
    }

    fn patience(self) -> Duration {
        if self == Self::Operator { OPERATORS_WAIT } else { CLIENTS_WAIT }
    }
}

impl AppState {
    /// Reads this node's state for whoever's request this is: 503 when that takes too long, or too
    /// many read already.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.read_at(Stage::Asked, read).await
    }

    /// Has a thread reckon for whoever's request this is, in the place of a read.
    pub(super) async fn reckon<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let reader = Reader::current();
        let place = self.reads.place(self, reader, reader.patience()).await?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        // It only fails when the work panics, which no input makes it do.
        done.await.map_err(|_| Error::internal())
    }

    /// Reads as this stage of a request may.
    pub(super) async fn read_at<T, F>(&self, stage: Stage, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let reader = Reader::current();
        self.reads.run(self, reader, stage.patience(reader), read).await
    }

    /// As [`AppState::read`] for the answer to something that was done already, or was begun to be
    /// sent: it may take as long as an operator's, since a refusal would say that nothing came of it.
    pub(super) async fn read_owed<T, F>(&self, reader: Reader, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.reads.run(self, reader, Stage::Done.patience(reader), read).await
    }
}

/// Who reads and who waits.
pub(super) struct Reads(Arc<Places>);

impl Default for Reads {
    fn default() -> Self {
        // A read that has a place finds a connection.
        debug_assert_eq!(PLACES, Class::Client.connections());
        Self(Arc::new(Places { most: PLACES, line: WAITING, state: Mutex::default() }))
    }
}

impl Reads {
    async fn run<T, F>(
        &self,
        app: &AppState,
        reader: Reader,
        patience: Duration,
        read: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let limit = Arc::new(ReadLimit::within(patience));
        let (begun, started) = oneshot::channel();
        let cluster = app.cluster.clone();
        let start = move |place: Place| {
            let held = move |conn: &Connection| {
                // Kept until the read is through, whoever still waits for it.
                let _place = place;
                read(conn)
            };
            // Whoever asked may have gone: then the read ends.
            let _ = begun.send(cluster.begin_within(limit, held));
        };
        let in_line = self.0.line_up(reader, Box::new(start));
        let begun = waited(app, patience, async { started.await.ok() }).await?;
        drop(in_line);
        let found = begun.answer().await;
        if matches!(found, Err(cluster::Error::Ended(End::Deadline))) {
            app.metrics.read_refused("slow");
            return Err(Error::slow_read(patience));
        }
        Ok(found?)
    }

    /// A place, when it is this reader's turn.
    async fn place(
        &self,
        app: &AppState,
        reader: Reader,
        patience: Duration,
    ) -> Result<Place, Error> {
        waited(app, patience, self.0.enter(reader)).await
    }
}

/// What a turn brings, within the patience of who waits for it; `None` of the line is that it is full.
async fn waited<T>(
    app: &AppState,
    patience: Duration,
    turn: impl Future<Output = Option<T>>,
) -> Result<T, Error> {
    let Ok(turn) = tokio::time::timeout(patience, turn).await else {
        app.metrics.read_refused("waited");
        return Err(Error::busy("too many reads wait before it: try again, or ask less often"));
    };
    turn.ok_or_else(|| {
        app.metrics.read_refused("full");
        Error::busy("too many reads wait already: ask less often")
    })
}

/// What is to be done with a place, at once: by whoever has given one back, on its thread.
type Start = Box<dyn FnOnce(Place) + Send>;

/// The places, and the line before them.
struct Places {
    most: usize,
    line: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Reads under way, by reader; those with none are not here.
    running: HashMap<Reader, usize>,
    /// Who waits, by reader; those of whom nobody waits are not here.
    waiting: HashMap<Reader, VecDeque<Waiter>>,
    /// The readers of `waiting`, in the order of their turns.
    turns: VecDeque<Reader>,
    next: u64,
}

struct Waiter {
    number: u64,
    start: Start,
}

/// A place, until it is dropped.
struct Place {
    places: Arc<Places>,
    reader: Reader,
}

/// Those whose turn it is, each with its place. They start when the state is not locked any more: what
/// they begin may be over at once, and give its place back.
#[derive(Default)]
struct Granted(Vec<(Start, Place)>);

impl Granted {
    fn start(self) {
        for (start, place) in self.0 {
            start(place);
        }
    }
}

/// Leaves the line when dropped, if it still stands in it.
struct InLine<'a> {
    places: &'a Places,
    reader: Reader,
    number: u64,
}

impl Places {
    /// Waits for a place; `None` when the line is too long.
    async fn enter(self: &Arc<Self>, reader: Reader) -> Option<Place> {
        let (place, granted) = oneshot::channel();
        // Who waited may have just gone: the place goes back.
        let _in_line = self.line_up(reader, Box::new(move |given| drop(place.send(given))));
        granted.await.ok()
    }

    /// Has something started when it is this reader's turn, which may be now. It is dropped instead
    /// when the line is too long, or with what comes back.
    fn line_up(self: &Arc<Self>, reader: Reader, start: Start) -> InLine<'_> {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        state.line_up(reader, Waiter { number, start });
        let granted = state.grant(self);
        let away = (state.in_line() > self.line).then(|| state.send_away());
        drop(state);
        drop(away);
        granted.start();
        InLine { places: self, reader, number }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn in_line(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    fn line_up(&mut self, reader: Reader, waiter: Waiter) {
        let line = self.waiting.entry(reader).or_default();
        if line.is_empty() {
            self.turns.push_back(reader);
        }
        line.push_back(waiter);
    }

    /// The newest of the longest line goes: it is told so when it is dropped.
    fn send_away(&mut self) -> Option<Waiter> {
        let longest = self.waiting.iter_mut().max_by_key(|(_, line)| line.len());
        let (reader, newest) = longest.map(|(reader, line)| (*reader, line.pop_back()))?;
        self.tidy(reader);
        newest
    }

    fn tidy(&mut self, reader: Reader) {
        if self.waiting.get(&reader).is_some_and(VecDeque::is_empty) {
            self.waiting.remove(&reader);
            self.turns.retain(|other| *other != reader);
        }
    }

    /// Gives places to those whose turn it is, as long as there are some.
    fn grant(&mut self, places: &Arc<Places>) -> Granted {
        let mut granted = Granted::default();
        let mut passed = 0;
        while self.running.values().sum::<usize>() < places.most && passed < self.turns.len() {
            let Some(reader) = self.turns.pop_front() else { break };
            // The reader's own line is one of them.
            let others = !self.turns.is_empty();
            let most = if others { places.most / 2 } else { places.most - 1 };
            if self.running.get(&reader).is_some_and(|running| *running >= most) {
                self.turns.push_back(reader);
                passed += 1;
                continue;
            }
            passed = 0;
            let waiter = self.waiting.get_mut(&reader).and_then(VecDeque::pop_front);
            if self.waiting.get(&reader).is_some_and(|line| !line.is_empty()) {
                self.turns.push_back(reader);
            } else {
                self.waiting.remove(&reader);
            }
            if let Some(Waiter { start, .. }) = waiter {
                *self.running.entry(reader).or_default() += 1;
                granted.0.push((start, Place { places: Arc::clone(places), reader }));
            }
        }
        granted
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        if let Some(running) = state.running.get_mut(&self.reader) {
            *running -= 1;
            if *running == 0 {
                state.running.remove(&self.reader);
            }
        }
        let granted = state.grant(&self.places);
        drop(state);
        granted.start();
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        let Some(line) = state.waiting.get_mut(&self.reader) else { return };
        let place = line.iter().position(|waiter| waiter.number == self.number);
        let gone = place.and_then(|place| line.remove(place));
        state.tidy(self.reader);
        drop(state);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    const A: Reader = Reader::Client(1);
    const B: Reader = Reader::Client(2);
    const C: Reader = Reader::Operator;

    fn places(most: usize, line: usize) -> Arc<Places> {
        Arc::new(Places { most, line, state: Mutex::default() })
    }

    #[test]
    fn the_answer_to_a_write_that_was_done_may_take_long() {
        for reader in [A, C, Reader::Nobody] {
            assert_eq!(Stage::Done.patience(reader), Duration::from_secs(30), "{reader:?}");
        }
        assert_eq!(Stage::Asked.patience(A), Duration::from_secs(2));
    }

    #[test]
    fn the_keys_that_a_client_makes_itself_are_one_reader() {
        let of = |id, root| Reader::from(Caller::Client { id, root });
        assert_eq!(of(7, 1), of(8, 1));
        assert_eq!(of(7, 1), A);
        assert_ne!(of(7, 1), of(7, 2));
    }

    type Entering = BoxFuture<'static, Option<Place>>;

    /// One more who wants to read.
    fn enter(places: &Arc<Places>, reader: Reader) -> Entering {
        let places = Arc::clone(places);
        async move { places.enter(reader).await }.boxed()
    }

    /// One more, who reads.
    fn reads(places: &Arc<Places>, reader: Reader) -> Place {
        let place = enter(places, reader).now_or_never().expect("there is a place");
        place.expect("the line has room")
    }

    /// One more, who has to wait.
    fn waits(places: &Arc<Places>, reader: Reader) -> Entering {
        let mut entering = enter(places, reader);
        assert!((&mut entering).now_or_never().is_none(), "there is a place");
        entering
    }

    fn has_place(entering: &mut Entering) -> bool {
        entering.now_or_never().is_some_and(|place| {
            // It reads for ever.
            std::mem::forget(place.expect("the line has room"));
            true
        })
    }

    #[test]
    fn one_reader_leaves_a_place_free_and_half_of_them_when_others_wait() {
        let places = places(6, 100);
        let held: Vec<Place> = (0..5).map(|_| reads(&places, A)).collect();
        let mut more: Vec<Entering> = (0..9).map(|_| waits(&places, A)).collect();
        let of_b = reads(&places, B);
        let mut waiting = waits(&places, C);
        let mut held = held.into_iter();
        drop(held.next());
        assert!(has_place(&mut waiting), "one that has less goes first");
        drop(of_b);
        assert!(has_place(&mut more[0]), "nobody else waits: all but one");
        let mut of_b = [waits(&places, B), waits(&places, B)];
        drop(held.next());
        assert!(has_place(&mut of_b[0]) && !has_place(&mut more[1]));
        drop(held.next());
        assert!(has_place(&mut of_b[1]) && !has_place(&mut more[1]));
        // Nobody else waits any more.
        drop(held.next());
        assert!(has_place(&mut more[1]));
    }

    #[test]
    fn a_line_that_is_full_loses_the_newest_of_who_stands_there_most() {
        let places = places(2, 4);
        let _held = reads(&places, A);
        let mut of_a: Vec<Entering> = (0..4).map(|_| waits(&places, A)).collect();
        let _other = reads(&places, B);
        let mut of_b = waits(&places, B);
        let newest = of_a.pop().unwrap().now_or_never();
        assert!(matches!(newest, Some(None)), "it is told at once");
        assert!((&mut of_b).now_or_never().is_none(), "it waits for its turn");
        assert!(of_a.iter_mut().all(|entering| entering.now_or_never().is_none()));
    }

    #[test]
    fn who_goes_leaves_the_line_and_gives_its_place_back() {
        let places = places(2, 4);
        let held = reads(&places, A);
        let gone = waits(&places, A);
        let mut next = waits(&places, A);
        drop(gone);
        assert_eq!(places.lock().in_line(), 1);
        drop(held);
        // Granted, and dropped before it was looked at: the place is not lost.
        assert_eq!(places.lock().running.get(&A), Some(&1));
        assert!((&mut next).now_or_never().is_some_and(|place| place.is_some()));
        assert!(places.lock().running.is_empty());
        let granted = reads(&places, B);
        let first = waits(&places, B);
        drop(granted);
        drop(first);
        assert!(places.lock().running.is_empty() && places.lock().in_line() == 0);
    }
}
