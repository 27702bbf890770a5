//! Proposals that name the way by which their request came in: they are for programs of their
//! level, and older ones get what they always got.

use super::codec::{ORIGIN_LEVEL, VERSION};
use super::codec_tests::{actors, samples, wrapped};
use super::{Command, LEVEL, Proposal};
use crate::model::actor::{ActorRef, RequestOrigin};
use crate::model::audit::AuditNote;

#[test]
fn the_way_of_a_request_is_named_from_its_level_on_and_left_out_below() {
    let addresses = [None, Some("10.0.0.1".parse().unwrap()), Some("2001:db8::1".parse().unwrap())];
    for command in samples().into_iter().chain(wrapped()) {
        for (actor, address) in actors().into_iter().zip(addresses.into_iter().cycle()) {
            let plain = Proposal { actor, ..Proposal::from(command.clone()) };
            let received = plain.clone().received(RequestOrigin { node: 300, address });
            let newer = received.encode(ORIGIN_LEVEL).unwrap();
            assert_eq!((newer[0], &Proposal::decode(&newer).unwrap()), (VERSION, &received));
            let older = received.encode(ORIGIN_LEVEL - 1).unwrap();
            assert_eq!(older, plain.encode(ORIGIN_LEVEL - 1).unwrap(), "{}", command.name());
            assert_eq!(received.level(), plain.level(), "it asks for no level");
        }
    }
}

#[test]
fn the_bytes_of_version_4_do_not_change() {
    let bytes = |address: Option<&str>| {
        let address = address.map(|address| address.parse().unwrap());
        let origin = RequestOrigin { node: 300, address };
        Command::Tick.asked_by(ActorRef::Operator).received(origin).encode(LEVEL).unwrap()
    };
    assert_eq!(*bytes(None), [4, 1, 0, 0xac, 2, 0, 1]);
    assert_eq!(*bytes(Some("10.0.0.1")), [4, 1, 0, 0xac, 2, 1, 0, 10, 0, 0, 1, 1]);
    let six = bytes(Some("::1"));
    assert_eq!((&six[..7], six[22], six[23]), (&[4, 1, 0, 0xac, 2, 1, 1][..], 1, 1));
}

#[test]
fn the_audit_needs_its_level() {
    let note = Command::Note(AuditNote::about("fetch", "backup", 7));
    let drop = Command::RetainAudit { before: 1, most_bytes: 2, limit: 3 };
    assert_eq!((note.level(), drop.level()), (ORIGIN_LEVEL, ORIGIN_LEVEL));
    let text = postcard::to_stdvec(r#"{"action":"fetch","noun":"backup","object":"7"}"#).unwrap();
    let bytes = Proposal::from(note).encode(LEVEL).unwrap();
    assert!(bytes.ends_with(&text), "{bytes:?}");
}
