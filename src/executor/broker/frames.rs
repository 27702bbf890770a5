//! The frames that leave for a broker, looked at one by one, so that nothing follows a channel that
//! was closed. `transport` passes all bytes through it. It knows the borders of frames (AMQP 0-9-1,
//! 2.3.5) and the class `channel`; of messages it only tells [`Returns`] that one leaves.
//!
//! The client library closes a channel, or confirms that the broker did, while messages for that
//! channel wait in its queue, and writes them afterwards. The broker then ends the whole connection
//! (504), with all that others have under way on it. So frames for a closed channel are dropped
//! here. This is also what makes sure that a message of a call that has ended is not sent later.

use std::collections::HashSet;

use super::inbound::HEAD;
use super::returns::Returns;

/// The bytes that a connection begins with, before any frame.
const PRELUDE: usize = 8;
/// The bytes at the beginning of a method's payload that say which one it is.
const METHOD: usize = 4;
/// The type of frames with a method.
const METHOD_FRAME: u8 = 1;
/// The class `channel`.
const CHANNEL_CLASS: u16 = 20;
const OPEN: u16 = 10;
const CLOSE: u16 = 40;
const CLOSE_OK: u16 = 41;
/// The method `basic.publish`.
const PUBLISH: (u16, u16) = (60, 40);

/// The filter of one connection.
#[derive(Debug)]
pub(crate) struct FrameFilter {
    place: Place,
    /// The channels that were closed, and not opened again.
    closed: HashSet<u16>,
}

/// The place in the stream of bytes.
#[derive(Debug)]
enum Place {
    /// So many bytes of the prelude are left.
    Prelude(usize),
    /// In the head of a frame, of which these bytes are known.
    Head([u8; HEAD + METHOD], usize),
    /// So many bytes of a frame are left, which are dropped if it says so.
    Body(usize, bool),
}

impl Default for FrameFilter {
    fn default() -> Self {
        Self { place: Place::Prelude(PRELUDE), closed: HashSet::new() }
    }
}

impl FrameFilter {
    /// Takes bytes that are to be written, and adds those to `out` that may be.
    pub(crate) fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>, returns: &Returns) {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Prelude(left) | Place::Body(left, _) if *left == 0 => {
                    self.place = Place::Head([0; HEAD + METHOD], 0);
                }
                Place::Prelude(left) => out.extend_from_slice(take(&mut bytes, left)),
                Place::Body(left, dropped) => {
                    let part = take(&mut bytes, left);
                    if !*dropped {
                        out.extend_from_slice(part);
                    }
                }
                Place::Head(head, have) => {
                    head[*have] = bytes[0];
                    *have += 1;
                    bytes = &bytes[1..];
                    let (head, have) = (*head, *have);
                    if have == wanted(&head, have) {
                        self.begin(&head[..have], out, returns);
                    }
                }
            }
        }
    }

    /// Decides about the frame of a complete head.
    fn begin(&mut self, head: &[u8], out: &mut Vec<u8>, returns: &Returns) {
        let channel = u16::from_be_bytes([head[1], head[2]]);
        let known = (head.len() - HEAD) as u32;
        // The payload and the byte that ends a frame.
        let left = (length(head) - known) as usize + 1;
        let method = match head {
            [METHOD_FRAME, _, _, _, _, _, _, a, b, c, d] => {
                Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
            }
            _ => None,
        };
        let of_channel = matches!(method, Some((CHANNEL_CLASS, _)));
        let dropped = !of_channel && self.closed.contains(&channel);
        match method {
            Some((CHANNEL_CLASS, OPEN)) => drop(self.closed.remove(&channel)),
            Some((CHANNEL_CLASS, CLOSE | CLOSE_OK)) => drop(self.closed.insert(channel)),
            _ => {}
        }
        if !dropped {
            if method == Some(PUBLISH) {
                returns.published(channel);
            }
            out.extend_from_slice(head);
        }
        self.place = Place::Body(left, dropped);
    }
}

/// The length of a frame's payload.
fn length(head: &[u8]) -> u32 {
    u32::from_be_bytes([head[3], head[4], head[5], head[6]])
}

/// The bytes of the head that must be known before the frame is decided about.
fn wanted(head: &[u8; HEAD + METHOD], have: usize) -> usize {
    let says_more = have >= HEAD && head[0] == METHOD_FRAME && length(head) >= METHOD as u32;
    if says_more { HEAD + METHOD } else { HEAD }
}

/// Takes up to `left` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], left: &mut usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(bytes.len().min(*left));
    *left -= part.len();
    *bytes = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::super::returns::Return;
    use super::*;

    fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&[kind][..], &channel.to_be_bytes(), &length, payload, &[0xce]].concat()
    }

    fn method(channel: u16, class: u16, method: u16) -> Vec<u8> {
        frame(1, channel, &[&class.to_be_bytes()[..], &method.to_be_bytes(), b"rest"].concat())
    }

    fn publish(channel: u16) -> Vec<u8> {
        let (header, body) = (frame(2, channel, b"header"), frame(3, channel, b"\xce\x01body"));
        [method(channel, 60, 40), header, body].concat()
    }

    #[test]
    fn frames_of_a_closed_channel_are_dropped_however_the_bytes_are_cut() {
        let heartbeat = frame(8, 0, b"");
        let kept = [
            b"AMQP\0\0\x09\x01".to_vec(),
            publish(1),
            publish(2),
            method(1, 20, 41), // the broker closed it
            heartbeat.clone(),
            publish(2),
            method(2, 20, 40), // we close it
            method(2, 20, 41), // and so does the broker
            method(1, 20, 10),
            publish(1),
        ];
        let mut sent = Vec::new();
        for (n, part) in kept.iter().enumerate() {
            sent.extend_from_slice(part);
            match n {
                3..=7 => sent.extend(publish(1)),
                8..=9 => sent.extend(publish(2)),
                _ => {}
            }
        }
        for size in (1..64).chain([sent.len()]) {
            let (mut filter, mut out) = (FrameFilter::default(), Vec::new());
            let returns = Returns::default();
            returns.begin(2);
            sent.chunks(size).for_each(|part| filter.pass(part, &mut out, &returns));
            assert_eq!(out, kept.concat(), "in parts of {size}");
            let returned = Return { id: String::new(), code: 312, text: String::new() };
            let back = [(); 3].map(|()| returns.add(2, returned.clone()));
            assert_eq!(back, [true, true, false], "two have left on channel 2");
        }
    }
}
