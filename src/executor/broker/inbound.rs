//! The frames that come from a broker, looked at one by one before the client library reads them.
//! `transport` passes all bytes through it. An error ends the connection.
//!
//! The library trusts the broker: it parses tables within tables by recursion, which a few
//! thousand bytes drive to the end of the stack and so of the process; it keeps whatever is
//! returned; and it grows its buffers to the frames that are agreed on. A broker is whatever a
//! project names, so nothing of that may reach the library. It gets no table at all: the properties
//! of the server are blanked, methods that a client is never sent are refused, and returned
//! messages go to [`Returns`], of which only the id, the code and the reason are kept. A message
//! that is delivered to a consumer passes without its properties, and with [`MAX_BODY`] bytes of
//! its body and one more, by which its consumer knows that it is too large.

use std::collections::HashMap;

use super::returns::{Return, Returns};
use super::role::Role;

/// The largest frame that is agreed to, in bytes. The library has two buffers of 32 frames for each
/// connection, as large as the broker likes unless we name a bound; the headers of a message, 8 KB
/// of JSON, have to fit one frame.
pub(crate) const FRAME_MAX: u32 = 32 << 10;
/// The highest number of a channel that is agreed to.
pub(crate) const CHANNEL_MAX: u16 = 1_023;
/// The most bytes of a delivered message.
pub(crate) const MAX_BODY: usize = 64 << 10;
/// The bytes of a frame before its payload: type, channel, length of the payload.
pub(crate) const HEAD: usize = 7;
/// The answer of a server that speaks another version: a header, which is no frame.
const OTHER_VERSION: usize = 8;
/// The most `channel.flow` of a connection. The library answers each, and its answers pile up where
/// the broker does not read.
const MAX_FLOWS: u32 = 1_024;

/// The byte that ends a frame.
const END: u8 = 0xce;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

const START: (u16, u16) = (10, 10);
const CONNECTION_CLOSE: (u16, u16) = (10, 50);
const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
const FLOW: (u16, u16) = (20, 20);
const CHANNEL_CLOSE: (u16, u16) = (20, 40);
const RETURN: (u16, u16) = (60, 50);
const DELIVER: (u16, u16) = (60, 60);
/// The further methods that a client is sent, none of which has a table: secure, tune, open-ok,
/// close-ok, blocked, unblocked, update-secret-ok; channel.flow-ok, close-ok; exchange.declare-ok;
/// basic.ack, nack; confirm.select-ok.
const FURTHER: [(u16, u16); 13] = [
    (10, 20),
    (10, 30),
    (10, 41),
    (10, 51),
    (10, 60),
    (10, 61),
    (10, 71),
    (20, 21),
    (20, 41),
    (40, 11),
    (60, 80),
    (60, 120),
    (85, 11),
];

/// The answers to declarations, none of which has a table: exchange.delete-ok; queue.declare-ok,
/// bind-ok, delete-ok.
const DECLARED: [(u16, u16); 4] = [(40, 21), (50, 11), (50, 21), (50, 41)];
/// The methods that only a consumer is sent, none of which has a table: basic.qos-ok, consume-ok,
/// cancel, cancel-ok.
const CONSUMED: [(u16, u16); 4] = [(60, 11), (60, 21), (60, 30), (60, 31)];

/// The class `basic`.
const BASIC: u16 = 60;
/// The flag of `message-id` among the properties.
const MESSAGE_ID: u16 = 1 << 7;

/// What a broker sent that it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) &'static str);

const CUT_SHORT: Refused = Refused("the broker sent a frame whose contents are cut short");
const NOT_FOR_PUBLISHERS: Refused = Refused("the broker sent a method that no publisher is sent");
const NOT_FOR_CONSUMERS: Refused = Refused("the broker sent a method that no consumer is sent");
const OUT_OF_TURN: Refused = Refused("the broker sent a part of a message out of turn");

/// The filter of one connection.
#[derive(Debug, Default)]
pub(crate) struct InboundFilter {
    /// The bytes of the present frame.
    frame: Vec<u8>,
    role: Role,
    /// The channels on which a returned message, or a delivered one, is on its way.
    content: HashMap<u16, Content>,
    /// The channels that the broker closes.
    closed: Vec<u16>,
    /// Whether the broker closes the connection: what follows says nothing.
    is_closing: bool,
    flows: u32,
}

/// What comes next of a message.
#[derive(Debug)]
enum Content {
    /// The header of a returned one.
    Returned { code: u16, text: String },
    /// The header of a delivered one.
    Delivered,
    /// So many bytes of the body, of which these may pass.
    Body { left: u64, passes: u64 },
}

impl InboundFilter {
    /// The filter of a connection that has carried nothing yet.
    pub(crate) fn new(role: Role) -> Self {
        Self { role, ..Self::default() }
    }

    /// Takes bytes that were read, and adds those to `out` that the library is to read.
    pub(crate) fn pass(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
        returns: &Returns,
    ) -> Result<(), Refused> {
        while !bytes.is_empty() {
            let wanted = wanted(&self.frame)?;
            let (part, rest) = bytes.split_at(bytes.len().min(wanted - self.frame.len()));
            self.frame.extend_from_slice(part);
            bytes = rest;
            // With the head it may turn out that more is wanted.
            if self.frame.len() == wanted && is_complete(&self.frame)? {
                let frame = std::mem::take(&mut self.frame);
                self.frame(&frame, out, returns)?;
                self.frame = frame;
                self.frame.clear();
            }
        }
        Ok(())
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<u8>, returns: &Returns) -> Result<(), Refused> {
        if self.is_closing {
            return Ok(());
        }
        if frame[0] == b'A' {
            out.extend_from_slice(frame);
            return Ok(());
        }
        let channel = u16::from_be_bytes([frame[1], frame[2]]);
        if channel > CHANNEL_MAX {
            return Err(Refused("the broker sent a frame for a channel that was not agreed on"));
        }
        let payload = &frame[HEAD..frame.len() - 1];
        match frame[0] {
            METHOD => self.method(channel, frame, out, returns),
            HEADER => self.header(channel, Reader(payload), out, returns),
            BODY => self.body(channel, payload, out),
            // A heartbeat; `wanted` knows no other type.
            _ => {
                out.extend_from_slice(frame);
                Ok(())
            }
        }
    }

    fn method(
        &mut self,
        channel: u16,
        frame: &[u8],
        out: &mut Vec<u8>,
        returns: &Returns,
    ) -> Result<(), Refused> {
        let mut payload = Reader(&frame[HEAD..frame.len() - 1]);
        if self.content.contains_key(&channel) {
            return Err(OUT_OF_TURN);
        }
        let method = (payload.u16()?, payload.u16()?);
        match method {
            RETURN => {
                let (code, text) = (payload.u16()?, payload.short()?);
                let text = String::from_utf8_lossy(text).into_owned();
                self.content.insert(channel, Content::Returned { code, text });
                return Ok(());
            }
            DELIVER if self.role == Role::Consumer => {
                self.content.insert(channel, Content::Delivered);
            }
            START => return blanked(frame, payload, out),
            CONNECTION_CLOSE => self.is_closing = true,
            CHANNEL_OPEN_OK => self.closed.retain(|closed| *closed != channel),
            CHANNEL_CLOSE if self.closed.contains(&channel) => return Ok(()),
            CHANNEL_CLOSE => {
                self.closed.push(channel);
                returns.note_closed();
            }
            FLOW => {
                self.flows += 1;
                if self.flows > MAX_FLOWS {
                    return Err(Refused("the broker sent channel.flow again and again"));
                }
            }
            method if FURTHER.contains(&method) || DECLARED.contains(&method) => {}
            method if self.role == Role::Consumer && CONSUMED.contains(&method) => {}
            _ if self.role == Role::Consumer => return Err(NOT_FOR_CONSUMERS),
            _ => return Err(NOT_FOR_PUBLISHERS),
        }
        out.extend_from_slice(frame);
        Ok(())
    }

    fn header(
        &mut self,
        channel: u16,
        payload: Reader<'_>,
        out: &mut Vec<u8>,
        returns: &Returns,
    ) -> Result<(), Refused> {
        let content = self.content.remove(&channel).ok_or(OUT_OF_TURN)?;
        let (left, id) = size_and_id(payload)?;
        let passes = match content {
            Content::Body { .. } => return Err(OUT_OF_TURN),
            Content::Returned { code, text } => {
                if !returns.add(channel, Return { id, code, text }) {
                    return Err(Refused("the broker sent more messages back than it was sent"));
                }
                0
            }
            Content::Delivered => {
                let passes = left.min(MAX_BODY as u64 + 1);
                let fields = [&BASIC.to_be_bytes()[..], &[0; 2], &passes.to_be_bytes(), &[0; 2]];
                push_frame(HEADER, channel, &fields.concat(), out);
                passes
            }
        };
        if left > 0 {
            self.content.insert(channel, Content::Body { left, passes });
        }
        Ok(())
    }

    fn body(&mut self, channel: u16, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
        let Some(Content::Body { left, passes }) = self.content.get_mut(&channel) else {
            return Err(OUT_OF_TURN);
        };
        let count = bytes.len() as u64;
        let rest = left.checked_sub(count).ok_or(OUT_OF_TURN)?;
        let passing = count.min(*passes);
        (*left, *passes) = (rest, *passes - passing);
        if passing > 0 {
            // It is at most as many as there are.
            push_frame(BODY, channel, &bytes[..passing as usize], out);
        }
        if rest == 0 {
            self.content.remove(&channel);
        }
        Ok(())
    }
}

/// Adds a frame.
fn push_frame(kind: u8, channel: u16, payload: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(END);
}

/// The bytes that are wanted of a frame of which these are known.
fn wanted(frame: &[u8]) -> Result<usize, Refused> {
    match frame {
        [] => Ok(1),
        [b'A', ..] => Ok(OTHER_VERSION),
        [METHOD | HEADER | BODY | HEARTBEAT, _, _, a, b, c, d, ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]);
            if length > FRAME_MAX - HEAD as u32 - 1 {
                return Err(Refused("the broker sent a frame that is larger than agreed"));
            }
            Ok(HEAD + length as usize + 1)
        }
        [METHOD | HEADER | BODY | HEARTBEAT, ..] => Ok(HEAD),
        _ => Err(Refused("the broker sent something that is no frame of AMQP 0-9-1")),
    }
}

fn is_complete(frame: &[u8]) -> Result<bool, Refused> {
    Ok(wanted(frame)? == frame.len())
}

/// Adds `connection.start` without the properties of the server, of which the library needs none.
fn blanked(frame: &[u8], mut payload: Reader<'_>, out: &mut Vec<u8>) -> Result<(), Refused> {
    let version = payload.take(2)?;
    payload.long()?;
    let rest = payload.0;
    let length = (4 + version.len() + 4 + rest.len()) as u32;
    out.extend_from_slice(&frame[..3]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&frame[HEAD..HEAD + 4]);
    out.extend_from_slice(version);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(rest);
    out.extend_from_slice(&frame[frame.len() - 1..]);
    Ok(())
}

/// The size of a message's body, and the message's id, from the payload of its header frame.
fn size_and_id(mut payload: Reader<'_>) -> Result<(u64, String), Refused> {
    // The class, and the weight.
    payload.take(4)?;
    let size = payload.take(8)?;
    let size = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
    let flags = payload.u16()?;
    let has = |bit: u32| flags & 1 << bit != 0;
    if flags & MESSAGE_ID == 0 {
        return Ok((size, String::new()));
    }
    for bit in (8..=15).rev().filter(|bit| has(*bit)) {
        match bit {
            // The headers.
            13 => drop(payload.long()?),
            // The delivery mode and the priority.
            11 | 12 => drop(payload.take(1)?),
            _ => drop(payload.short()?),
        }
    }
    Ok((size, String::from_utf8_lossy(payload.short()?).into_owned()))
}

/// The rest of a payload.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Refused> {
        let (part, rest) = self.0.split_at_checked(bytes).ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(part)
    }

    fn u16(&mut self) -> Result<u16, Refused> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A short text.
    fn short(&mut self) -> Result<&'a [u8], Refused> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }

    /// A table, or a long text.
    fn long(&mut self) -> Result<&'a [u8], Refused> {
        let bytes = self.take(4)?;
        let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        self.take(length as usize)
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
