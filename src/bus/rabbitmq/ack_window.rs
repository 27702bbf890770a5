//! What is to be acknowledged on one channel: many messages by one frame where the order allows it.
//! The consumer of a shard keeps one for each channel. Pure.

use std::collections::BTreeMap;

use crate::bus::receipt::Settlement;

/// An acknowledgement, by delivery tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// The message is refused, and does not come again.
    Reject(u64),
    /// The message is done.
    One(u64),
    /// All messages up to this one are done or refused.
    UpTo(u64),
}

/// The messages of a channel that are not acknowledged.
#[derive(Debug, Default)]
pub(super) struct AckWindow {
    /// Whether the message of a tag is done.
    open: BTreeMap<u64, bool>,
    poison: Vec<u64>,
}

impl AckWindow {
    /// Notes that a message came.
    pub(super) fn delivered(&mut self, tag: u64) {
        self.open.insert(tag, false);
    }

    /// The number of messages that are not acknowledged.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Notes what became of a message. One that was dropped stays open.
    pub(super) fn settled(&mut self, tag: u64, settlement: Settlement) {
        match settlement {
            Settlement::Done => {
                if let Some(done) = self.open.get_mut(&tag) {
                    *done = true;
                }
            }
            Settlement::Poison => {
                if self.open.remove(&tag).is_some() {
                    self.poison.push(tag);
                }
            }
            Settlement::Dropped => {}
        }
    }

    /// The acknowledgements that are due, in the order in which they must be sent: one of many
    /// messages covers what was refused before, and the broker takes no tag twice.
    pub(super) fn take(&mut self) -> Vec<Ack> {
        let mut acks: Vec<Ack> = self.poison.drain(..).map(Ack::Reject).collect();
        let mut first = None;
        let mut count = 0;
        while let Some(entry) = self.open.first_entry().filter(|entry| *entry.get()) {
            first = Some(entry.remove_entry().0);
            count += 1;
        }
        acks.extend(first.map(|tag| if count == 1 { Ack::One(tag) } else { Ack::UpTo(tag) }));
        let later = self.open.extract_if(.., |_, done| *done);
        acks.extend(later.map(|(tag, _)| Ack::One(tag)));
        acks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_acknowledged_at_once_and_nothing_twice_or_too_early() {
        let mut window = AckWindow::default();
        (1..=8).for_each(|tag| window.delivered(tag));
        for (tag, settlement) in [
            (2, Settlement::Done),
            (1, Settlement::Done),
            (3, Settlement::Poison),
            (4, Settlement::Done),
            (5, Settlement::Dropped),
            (7, Settlement::Done),
        ] {
            window.settled(tag, settlement);
        }
        assert_eq!(window.take(), [Ack::Reject(3), Ack::UpTo(4), Ack::One(7)]);
        assert_eq!((window.take(), window.len()), (vec![], 3));
        window.settled(6, Settlement::Done);
        window.settled(7, Settlement::Done);
        window.settled(7, Settlement::Poison);
        assert_eq!(window.take(), [Ack::One(6)], "what was dropped holds the others up");
        window.settled(5, Settlement::Done);
        assert_eq!(window.take(), [Ack::One(5)]);
    }
}
