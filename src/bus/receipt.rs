//! The acknowledgement of a message of a worker, which the listener keeps until it is settled.

use tokio::sync::mpsc::UnboundedSender;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is in the store, or refused for good.
    Done,
    /// It is not to be understood, and is not to come again.
    Poison,
    /// Nobody has dealt with it: it comes again.
    Dropped,
}

/// The receipt for a message. Dropped, it lets the message come again.
#[derive(Debug)]
pub struct Receipt {
    number: u64,
    to: Option<UnboundedSender<(u64, Settlement)>>,
}

impl Receipt {
    /// The receipt for a message with a number, of which `to` learns what became.
    pub fn new(number: u64, to: UnboundedSender<(u64, Settlement)>) -> Self {
        Self { number, to: Some(to) }
    }

    /// Acknowledges the message.
    pub fn done(self) {
        self.settle(Settlement::Done);
    }

    /// Says that the message is not to be understood.
    pub fn poison(self) {
        self.settle(Settlement::Poison);
    }

    /// Says whether nobody waits for what becomes of the message: it comes again to somebody.
    pub fn is_void(&self) -> bool {
        self.to.as_ref().is_none_or(UnboundedSender::is_closed)
    }

    fn settle(mut self, settlement: Settlement) {
        if let Some(to) = self.to.take() {
            // Without a receiver the message is on its way to another consumer.
            let _ = to.send((self.number, settlement));
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            let _ = to.send((self.number, Settlement::Dropped));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn a_receipt_is_void_when_its_listener_has_gone() {
        let (to, from) = unbounded_channel();
        let receipt = Receipt::new(1, to);
        assert!(!receipt.is_void());
        drop(from);
        assert!(receipt.is_void());
    }

    #[test]
    fn a_receipt_is_settled_once_whatever_becomes_of_it() {
        let (to, mut from) = unbounded_channel();
        Receipt::new(1, to.clone()).done();
        Receipt::new(2, to.clone()).poison();
        drop(Receipt::new(3, to));
        let settled: Vec<_> = std::iter::from_fn(|| from.try_recv().ok()).collect();
        let expected = [(1, Settlement::Done), (2, Settlement::Poison), (3, Settlement::Dropped)];
        assert_eq!(settled, expected);
    }
}
