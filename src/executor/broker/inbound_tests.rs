//! What passes the filter of what a broker sends, and what ends the connection.

use super::*;

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&[kind][..], &channel.to_be_bytes(), &length, payload, &[0xce]].concat()
}

fn method(channel: u16, (class, method): (u16, u16), rest: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), rest].concat();
    frame(METHOD, channel, &payload)
}

fn start(table: &[u8]) -> Vec<u8> {
    let length = (table.len() as u32).to_be_bytes();
    method(0, START, &[&[0, 9][..], &length, table, b"\0\0\0\x05PLAIN\0\0\0\x05en_US"].concat())
}

/// Tables within tables.
fn nested(depth: usize) -> Vec<u8> {
    let mut table = Vec::new();
    for _ in 0..depth {
        let length = (table.len() as u32).to_be_bytes();
        table = [&b"\0F"[..], &length, &table].concat();
    }
    table
}

/// A returned message: the id after each property that may come before it.
fn returned(channel: u16, id: &str, body: u64, headers: &[u8]) -> Vec<u8> {
    let mut header = [&[0, 60, 0, 0][..], &body.to_be_bytes(), &[0xff, 0x80]].concat();
    header.extend_from_slice(b"\x01t\x01e");
    header.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    header.extend_from_slice(headers);
    header.extend_from_slice(b"\x02\x05\x01c\x01r\x0260");
    header.push(id.len() as u8);
    header.extend_from_slice(id.as_bytes());
    let said = method(channel, RETURN, b"\x01\x38\x08NO_ROUTE\x01x\x01k");
    [said, frame(HEADER, channel, &header)].concat()
}

fn pass(bytes: &[u8]) -> (Result<(), Refused>, Vec<u8>) {
    let (mut out, returns) = (Vec::new(), Returns::default());
    (InboundFilter::default().pass(bytes, &mut out, &returns), out)
}

#[test]
fn what_a_publisher_is_sent_passes_and_returns_are_kept_however_the_bytes_are_cut() {
    let ack = method(1, (60, 80), &[0, 0, 0, 0, 0, 0, 0, 1, 0]);
    let close = method(2, CHANNEL_CLOSE, b"\x01\x94\x02no\0\x3c\0\x28");
    let (heartbeat, open_ok) = (frame(HEARTBEAT, 0, b""), method(2, CHANNEL_OPEN_OK, &[0; 4]));
    let end = method(0, CONNECTION_CLOSE, b"\x01\x40\x02no\0\0\0\0");
    let long = nested(2_000);
    let sent = [
        start(&long),
        heartbeat.clone(),
        returned(1, "first", 5, &long),
        open_ok.clone(),
        frame(BODY, 1, b"abc"),
        frame(BODY, 1, b"de"),
        returned(1, "second", 0, b""),
        ack.clone(),
        close.clone(),
        close.clone(),
        open_ok.clone(),
        close.clone(),
        end.clone(),
        end.clone(),
        ack.clone(),
    ]
    .concat();
    let kept =
        [start(b""), heartbeat, open_ok.clone(), ack, close.clone(), open_ok, close, end].concat();
    for size in (1..80).chain([1_000, sent.len()]) {
        let (mut filter, mut out, returns) =
            (InboundFilter::default(), Vec::new(), Returns::default());
        returns.begin(1);
        returns.published(1);
        returns.published(1);
        for part in sent.chunks(size) {
            filter.pass(part, &mut out, &returns).unwrap();
        }
        assert_eq!(out, kept, "in parts of {size}");
        assert!(returns.has_closed());
        let ids: Vec<String> = returns.end(1).into_iter().map(|returned| returned.id).collect();
        assert_eq!(ids, ["first", "second"]);
    }
    assert_eq!(pass(b"AMQP\0\0\x09\x01"), (Ok(()), b"AMQP\0\0\x09\x01".to_vec()));
}

#[test]
fn what_would_harm_this_node_is_refused() {
    let table = nested(4_000);
    let length = (table.len() as u32).to_be_bytes();
    let start_ok = method(0, (10, 11), &[&length[..], &table, b"\x05PLAIN"].concat());
    let declare = method(1, (50, 10), &[&[0, 0, 1, b'q', 0][..], &length, &table].concat());
    let header = frame(HEADER, 1, &[0; 14]);
    let large = [&[METHOD, 0, 0][..], &(FRAME_MAX - 7).to_be_bytes()].concat();
    let more = [method(1, RETURN, b"\x01\x38\0\0\0"), frame(METHOD, 1, b"\0\x3c\0\x50")].concat();
    let body = [returned(1, "a", 2, b""), frame(BODY, 1, b"abc")].concat();
    let flows = method(1, FLOW, &[1]).repeat(MAX_FLOWS as usize + 1);
    for (what, sent) in [
        ("a method that no publisher is sent", start_ok),
        ("a method that no publisher is sent", declare),
        ("larger than agreed", large),
        ("no frame", b"HTTP/1.1 400 Bad Request".to_vec()),
        ("not agreed on", frame(METHOD, CHANNEL_MAX + 1, b"\0\x14\0\x0b\0\0\0\0")),
        ("out of turn", header),
        ("out of turn", frame(BODY, 1, b"abc")),
        ("out of turn", more),
        ("out of turn", body),
        ("cut short", method(0, START, &[0, 9, 0, 0, 1, 0])),
        ("cut short", frame(METHOD, 0, b"\0")),
        ("again and again", flows),
    ] {
        let refused = pass(&sent).0.unwrap_err().to_string();
        assert!(refused.contains(what), "{refused:?} is not {what:?}");
    }
    let (mut out, returns) = (Vec::new(), Returns::default());
    returns.begin(1);
    returns.published(1);
    let twice = returned(1, "a", 0, b"").repeat(2);
    let refused = InboundFilter::default().pass(&twice, &mut out, &returns).unwrap_err();
    assert_eq!(refused.to_string(), "the broker sent more messages back than it was sent");
}

/// A delivered message with a header table.
fn delivered(channel: u16, body: u64, headers: &[u8]) -> Vec<u8> {
    let said = method(channel, DELIVER, b"\x01t\0\0\0\0\0\0\0\x07\0\x01x\x01k");
    let mut header = [&[0, 60, 0, 0][..], &body.to_be_bytes(), &[0x20, 0]].concat();
    header.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    header.extend_from_slice(headers);
    [said, frame(HEADER, channel, &header)].concat()
}

/// The frames that the library reads of a delivered message.
fn passed(channel: u16, bodies: &[&[u8]]) -> Vec<u8> {
    let said = method(channel, DELIVER, b"\x01t\0\0\0\0\0\0\0\x07\0\x01x\x01k");
    let bytes = bodies.iter().map(|body| body.len() as u64).sum::<u64>();
    let header = [&[0, 60, 0, 0][..], &bytes.to_be_bytes(), &[0, 0]].concat();
    let bodies = bodies.iter().map(|body| frame(BODY, channel, body));
    [vec![said, frame(HEADER, channel, &header)], bodies.collect()].concat().concat()
}

#[test]
fn a_consumer_gets_messages_without_properties_and_no_more_of_them_than_it_reads() {
    let part = vec![b'x'; 30_000];
    let long = nested(2_000);
    let qos_ok = method(1, CONSUMED[0], b"");
    let sent = [
        qos_ok.clone(),
        delivered(1, 5, &long),
        delivered(2, 90_000, b""),
        frame(BODY, 1, b"abc"),
        frame(BODY, 2, &part),
        frame(BODY, 1, b"de"),
        frame(BODY, 2, &part),
        frame(BODY, 2, &part),
        delivered(2, 0, b""),
    ]
    .concat();
    let kept = [
        qos_ok,
        [passed(1, &[b"abc", b"de"]), passed(2, &[&part, &part, &part[..5_537]])].concat(),
        passed(2, &[]),
    ]
    .concat();
    for size in [1, 7, 1_000, sent.len()] {
        let (mut filter, mut out) = (InboundFilter::new(Role::Consumer), Vec::new());
        for part in sent.chunks(size) {
            filter.pass(part, &mut out, &Returns::default()).unwrap();
        }
        // The frames of the two channels are told apart, as the library does it.
        let by_channel = |frames: &[u8]| {
            let (mut of, mut rest) = ([Vec::new(), Vec::new()], frames);
            while !rest.is_empty() {
                let length = u32::from_be_bytes(rest[3..7].try_into().unwrap()) as usize;
                let (frame, after) = rest.split_at(length + 8);
                of[usize::from(rest[2]) - 1].extend_from_slice(frame);
                rest = after;
            }
            of
        };
        assert_eq!(by_channel(&out), by_channel(&kept), "in parts of {size}");
    }
    for (what, sent) in [
        ("out of turn", [delivered(1, 2, b""), frame(BODY, 1, b"abc")].concat()),
        ("out of turn", [delivered(1, 2, b""), delivered(1, 2, b"")].concat()),
        ("out of turn", frame(BODY, 1, b"abc")),
    ] {
        let mut filter = InboundFilter::new(Role::Consumer);
        let refused = filter.pass(&sent, &mut Vec::new(), &Returns::default()).unwrap_err();
        assert!(refused.to_string().contains(what), "{refused} is not {what}");
    }
    let refused = pass(&delivered(1, 5, b"")).0.unwrap_err().to_string();
    assert!(
        refused.contains("no publisher is sent"),
        "a publisher is delivered nothing: {refused}"
    );
}
