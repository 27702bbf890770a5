//! Reads that share: a few are under way at a time, and each carries what has gathered meanwhile. A
//! question that comes alone is read at once; of hundreds that come together each costs a part of a
//! read. `prepare` looks claims up this way. What a read does, its caller says.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

/// The most reads under way.
const READS: usize = 2;

/// The way of what was found, or of the reason why nothing was.
type Answer<F> = oneshot::Sender<Result<F, String>>;

/// The questions that wait for a read, and the turns of the reads.
pub(super) struct SharedReads<A, F> {
    waiting: Mutex<VecDeque<(A, Answer<F>)>>,
    turns: Semaphore,
    weight: fn(&A) -> usize,
    /// The most weight of one read; one question is always in it.
    in_read: usize,
}

impl<A, F> SharedReads<A, F> {
    /// Reads that carry so much weight, by what a question weighs.
    pub(super) fn new(weight: fn(&A) -> usize, in_read: usize) -> Self {
        Self { waiting: Mutex::default(), turns: Semaphore::new(READS), weight, in_read }
    }

    /// Asks, by a read of its own or of another question. `read` answers as many questions as it is
    /// given, in their order.
    ///
    /// # Errors
    ///
    /// The reason why the read failed.
    pub(super) async fn ask<Read: Future<Output = Result<Vec<F>, String>>>(
        &self,
        question: A,
        read: impl FnOnce(Vec<A>) -> Read,
    ) -> Result<F, String> {
        // A read is given up with the task that makes it.
        let given_up = || "the read was given up".to_owned();
        let (answer, mut found) = oneshot::channel();
        self.waiting().push_back((question, answer));
        let turn = tokio::select! {
            biased;
            // Another one took it along.
            found = &mut found => return found.unwrap_or_else(|_| Err(given_up())),
            // The semaphore is never closed.
            turn = self.turns.acquire() => turn,
        };
        let (questions, answers): (Vec<_>, Vec<_>) = self.next().into_iter().unzip();
        if !questions.is_empty() {
            match read(questions).await {
                Ok(found) => {
                    for (answer, found) in answers.into_iter().zip(found) {
                        // Whoever asked may have gone.
                        let _ = answer.send(Ok(found));
                    }
                }
                Err(error) => {
                    for answer in answers {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
        }
        drop(turn);
        found.await.unwrap_or_else(|_| Err(given_up()))
    }

    /// Takes out the questions of the next read.
    fn next(&self) -> Vec<(A, Answer<F>)> {
        let (mut waiting, mut next, mut weight) = (self.waiting(), Vec::new(), 0);
        while let Some((question, answer)) = waiting.pop_front() {
            weight += (self.weight)(&question);
            if weight > self.in_read && !next.is_empty() {
                waiting.push_front((question, answer));
                break;
            }
            next.push((question, answer));
        }
        next
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(A, Answer<F>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    fn reads() -> SharedReads<usize, usize> {
        SharedReads::new(|weight| *weight, 100)
    }

    #[tokio::test]
    async fn two_reads_are_under_way_and_the_next_ones_carry_the_rest() {
        let (reads, permits) = (reads(), Semaphore::new(0));
        let sizes = Mutex::new(Vec::new());
        let ask = |question: usize| {
            reads.ask(question, async |questions| {
                sizes.lock().unwrap().push(questions.len());
                permits.acquire().await.unwrap().forget();
                Ok(questions.iter().map(|one| one + 1_000).collect())
            })
        };
        let mut asked: Vec<_> = (0..52).map(|_| Box::pin(ask(1))).collect();
        asked.push(Box::pin(ask(100)));
        for one in &mut asked {
            assert!(one.now_or_never().is_none());
        }
        assert_eq!(*sizes.lock().unwrap(), [1, 1], "the first two began at once");
        permits.add_permits(10);
        let told = join_all(asked).await;
        assert!(told[..52].iter().all(|told| *told == Ok(1_001)));
        assert_eq!(told[52], Ok(1_100));
        assert_eq!(*sizes.lock().unwrap(), [1, 1, 50, 1]);
    }

    #[tokio::test]
    async fn a_read_that_fails_or_is_given_up_fails_its_own_questions() {
        let reads = reads();
        assert_eq!(reads.ask(1, async |_| Err("no".to_owned())).await, Err("no".to_owned()));
        let mut stuck = Box::pin(reads.ask(1, async |_| std::future::pending().await));
        assert!((&mut stuck).now_or_never().is_none());
        drop(stuck);
        assert_eq!(reads.ask(5, async |asked| Ok(asked)).await, Ok(5), "its turn came back");
    }
}
