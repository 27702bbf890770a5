//! A broker that speaks just enough AMQP to be published to, and otherwise answers as a test says:
//! for what no real broker does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::super::broker::Broker;
use super::Sealed;

/// The answer to a method; `None` for the usual one.
type Answer = dyn Fn(&Asked<'_>) -> Option<Vec<u8>> + Send + Sync;

/// A method that was received.
pub(super) struct Asked<'a> {
    pub(super) channel: u16,
    /// The class and the method.
    pub(super) of: (u16, u16),
    /// The number of `basic.publish` on this channel.
    pub(super) number: u64,
    pub(super) payload: &'a [u8],
}

/// The method `basic.publish`.
pub(super) const PUBLISH: (u16, u16) = (60, 40);

/// A broker.
pub(super) struct FakeBroker {
    port: u16,
    /// The payloads of `connection.tune-ok` and what else was agreed on.
    pub(super) tuned: watch::Receiver<Vec<u8>>,
    /// The connections that were made, and those that have ended.
    pub(super) made: Arc<AtomicUsize>,
    pub(super) ended: watch::Receiver<usize>,
}

/// What the broker offers.
#[derive(Clone, Default)]
pub(super) struct Offer {
    /// The properties of the server, without their length.
    pub(super) properties: Vec<u8>,
    pub(super) channel_max: u16,
    pub(super) frame_max: u32,
}

impl FakeBroker {
    pub(super) async fn start(
        offer: Offer,
        answer: impl Fn(&Asked<'_>) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tune, tuned) = watch::channel(Vec::new());
        let (end, ended) = watch::channel(0);
        let made = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (Arc::clone(&made), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (offer, answer) = (offer.clone(), Arc::clone(&answer));
                let (tune, end) = (tune.clone(), end.clone());
                tokio::spawn(async move {
                    // Fails when the client goes.
                    let _ = serve(stream, &offer, &*answer, &tune).await;
                    end.send_modify(|ended| *ended += 1);
                });
            }
        });
        Self { port, tuned, made, ended }
    }

    pub(super) fn broker(&self) -> Broker {
        Broker {
            tls: false,
            host: "127.0.0.1".to_owned(),
            port: self.port,
            vhost: "/".to_owned(),
            user: "user".to_owned(),
            password: Sealed("sealed".to_owned()),
            ca: String::new(),
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    offer: &Offer,
    answer: &Answer,
    tune: &watch::Sender<Vec<u8>>,
) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 8]).await?;
    let properties = (offer.properties.len() as u32).to_be_bytes();
    let rest = b"\0\0\0\x05PLAIN\0\0\0\x05en_US";
    let start = [&[0, 9][..], &properties, &offer.properties, rest].concat();
    stream.write_all(&method(0, (10, 10), &start)).await?;
    let mut published = HashMap::<u16, u64>::new();
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head).await?;
        let channel = u16::from_be_bytes([head[1], head[2]]);
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; length as usize + 1];
        stream.read_exact(&mut payload).await?;
        if head[0] != 1 {
            continue;
        }
        let class = u16::from_be_bytes([payload[0], payload[1]]);
        let of = (class, u16::from_be_bytes([payload[2], payload[3]]));
        if of == (20, 10) {
            published.remove(&channel);
        }
        let number = published.entry(channel).or_default();
        *number += u64::from(of == PUBLISH);
        let usual = || match of {
            (10, 11) => {
                let bounds = [&offer.channel_max.to_be_bytes()[..], &offer.frame_max.to_be_bytes()];
                method(0, (10, 30), &[&bounds.concat()[..], &[0, 60]].concat())
            }
            (10, 31) => {
                tune.send_replace(payload[4..length as usize].to_vec());
                Vec::new()
            }
            (10, 40) => method(0, (10, 41), &[0]),
            (10, 50) => method(0, (10, 51), &[]),
            (20, 10) => method(channel, (20, 11), &[0; 4]),
            (20, 40) => method(channel, (20, 41), &[]),
            (40, 10) => method(channel, (40, 11), &[]),
            (85, 10) => method(channel, (85, 11), &[]),
            PUBLISH => ack(channel, *number),
            _ => Vec::new(),
        };
        let asked = Asked { channel, of, number: *number, payload: &payload };
        let answer = answer(&asked).unwrap_or_else(usual);
        stream.write_all(&answer).await?;
    }
}

/// A frame.
pub(super) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&[kind][..], &channel.to_be_bytes(), &length, payload, &[0xce]].concat()
}

/// A frame with a method.
pub(super) fn method(channel: u16, (class, method): (u16, u16), rest: &[u8]) -> Vec<u8> {
    frame(1, channel, &[&class.to_be_bytes()[..], &method.to_be_bytes(), rest].concat())
}

/// The confirm of a message.
pub(super) fn ack(channel: u16, tag: u64) -> Vec<u8> {
    method(channel, (60, 80), &[&tag.to_be_bytes()[..], &[0]].concat())
}

/// The end of a channel or of the connection over a refusal.
pub(super) fn close(channel: u16, of: (u16, u16), code: u16) -> Vec<u8> {
    method(channel, of, &[&code.to_be_bytes()[..], b"\x02no\0\0\0\0"].concat())
}

/// A message that reached no queue, by the id of its occurrence.
pub(super) fn returned(channel: u16, id: &str, body: &[u8]) -> Vec<u8> {
    returned_over(channel, id, 312, body)
}

/// A message that came back for another reason.
pub(super) fn returned_over(channel: u16, id: &str, code: u16, body: &[u8]) -> Vec<u8> {
    let said = [&code.to_be_bytes()[..], b"\x08NO_ROUTE\0\x01k"].concat();
    let said = method(channel, (60, 50), &said);
    let size = (body.len() as u64).to_be_bytes();
    let id = [&[id.len() as u8], id.as_bytes()].concat();
    let header = [&[0, 60, 0, 0][..], &size, &[0, 0x80], &id].concat();
    let mut all = [said, frame(2, channel, &header)].concat();
    if !body.is_empty() {
        all.extend(frame(3, channel, body));
    }
    all
}
