//! Confirms that never come: a proxy holds back the confirm of one message, and only the run of
//! that message waits for it.

use std::collections::HashMap;
use std::sync::Mutex;

use futures_util::future::{join_all, select_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// The class and the method of what AMQP calls `basic.publish` and `basic.ack`.
const PUBLISH: [u8; 4] = [0, 60, 0, 40];
const ACK: [u8; 4] = [0, 60, 0, 80];

/// What the proxy has seen, and which confirm it keeps back.
#[derive(Default)]
struct Seen {
    /// The messages that were published on each channel of a connection.
    published: HashMap<(usize, u16), u64>,
    /// Counts down to the message whose confirm is kept back.
    left: Option<u32>,
    /// That message: its channel, and its delivery tag.
    kept: Option<((usize, u16), u64)>,
}

impl Seen {
    /// Takes in a frame of the client.
    fn sent(&mut self, connection: usize, frame: &[u8]) {
        let Some(channel) = method_of(frame, PUBLISH) else { return };
        let channel = (connection, channel);
        let tag = self.published.entry(channel).or_default();
        *tag += 1;
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                (self.kept, self.left) = (Some((channel, *tag)), None);
            }
        }
    }

    /// Says whether a frame of the broker goes on. A confirm of several messages loses the last.
    fn passes(&mut self, connection: usize, frame: &mut [u8]) -> bool {
        let Some((channel, tag)) = self.kept else { return true };
        if method_of(frame, ACK) != Some(channel.1) || channel.0 != connection {
            return true;
        }
        let confirmed = u64::from_be_bytes(frame[11..19].try_into().unwrap());
        let of_many = frame[19] & 1 == 1;
        if of_many && confirmed >= tag && tag > 1 {
            frame[11..19].copy_from_slice(&(tag - 1).to_be_bytes());
            return true;
        }
        confirmed < tag
    }
}

/// The channel of a frame, if it is this method.
fn method_of(frame: &[u8], method: [u8; 4]) -> Option<u16> {
    let is_it = frame[0] == 1 && frame.get(7..11) == Some(&method);
    is_it.then(|| u16::from_be_bytes([frame[1], frame[2]]))
}

/// Reads a whole frame.
async fn frame(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 7];
    from.read_exact(&mut frame).await?;
    let size = u32::from_be_bytes(frame[3..7].try_into().unwrap()) as usize;
    frame.resize(7 + size + 1, 0);
    from.read_exact(&mut frame[7..]).await?;
    Ok(frame)
}

/// Hands on what the client sends.
async fn forth(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    connection: usize,
    seen: Arc<Mutex<Seen>>,
) -> std::io::Result<()> {
    let mut greeting = [0; 8];
    from.read_exact(&mut greeting).await?;
    to.write_all(&greeting).await?;
    loop {
        let frame = frame(&mut from).await?;
        seen.lock().unwrap().sent(connection, &frame);
        to.write_all(&frame).await?;
    }
}

/// Hands on what the broker sends, but for the confirm.
async fn back(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    connection: usize,
    seen: Arc<Mutex<Seen>>,
) -> std::io::Result<()> {
    loop {
        let mut frame = frame(&mut from).await?;
        let passes = seen.lock().unwrap().passes(connection, &mut frame);
        if passes {
            to.write_all(&frame).await?;
        }
    }
}

/// Starts a proxy to the port of a broker; returns its own.
async fn proxy(to: u16, seen: Arc<Mutex<Seen>>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for connection in 0.. {
            let Ok((client, _)) = listener.accept().await else { return };
            let Ok(broker) = TcpStream::connect(("127.0.0.1", to)).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_broker, to_broker) = broker.into_split();
            tokio::spawn(forth(from_client, to_broker, connection, Arc::clone(&seen)));
            tokio::spawn(back(from_broker, to_client, connection, Arc::clone(&seen)));
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirm_that_never_comes_holds_up_its_own_run_and_no_other() {
    const RUNS: u32 = 40;
    let Some(rabbit) = rabbitmq::shared() else { return };
    let (vhost, seen) = (rabbit.vhost(), Arc::new(Mutex::new(Seen::default())));
    let port = proxy(rabbit.port(), Arc::clone(&seen)).await;
    let mut node = Node::new(port, &vhost, &json!({}));
    node.listen(&["n"]).await;
    node.offer("n", &run(0)).await;
    seen.lock().unwrap().left = Some(RUNS);
    let offer = |number: u32| {
        let offer = node.bus.offer(&node.address("n"), ticket(&run(number)), Box::new(|| true));
        tokio::spawn(offer)
    };
    let mut offers: Vec<_> = (1..=RUNS).map(offer).collect();
    // All of them but one, whichever left last.
    for _ in 1..RUNS {
        let (handed, _, others) = tokio::time::timeout(PATIENCE, select_all(offers)).await.unwrap();
        assert_eq!(handed.unwrap(), HandOut::Passed);
        offers = others;
    }
    assert!(seen.lock().unwrap().kept.is_some());
    // The publisher goes on while it waits for that one.
    let more = join_all((100..110).map(offer)).await;
    assert!(more.into_iter().all(|handed| handed.unwrap() == HandOut::Passed));
    assert!(!offers[0].is_finished(), "it is not known whether it has arrived");
}
