//! The reach of a client's key: itself and the credentials below it.

use super::*;
use crate::command::{LEVEL, Proposal};
use crate::model::actor::ActorRef;
use crate::model::credential::Credential;
use crate::store::{Page, credentials, ended_sessions, meta};

fn new(api_key: &str) -> Command {
    Command::CreateCredential(Credential {
        api_key: api_key.to_owned(),
        verifier: vec![1, 2],
        created_by: Some("the operator (forged)".into()),
        parent: Some(99),
        ..Credential::default()
    })
}

fn archive(id: u64, archived: bool) -> Command {
    Command::ArchiveCredential { id, archived, by: Some("me".into()) }
}

/// 1 and 2 are an operator's; 3 was made with 1, 4 with 3, 5 with 1, 6 with 2.
fn family() -> ApplyFixture {
    let mut state = ApplyFixture::new();
    for (api_key, client) in
        [("a", None), ("b", None), ("c", Some(1)), ("d", Some(3)), ("e", Some(1)), ("f", Some(2))]
    {
        // A log carries the encoded command: the parent of the record is no part of it.
        let encoded = Proposal::from(new(api_key).by_client(client)).encode(LEVEL).unwrap();
        state.done(Proposal::decode(&encoded).unwrap().command);
    }
    state
}

impl ApplyFixture {
    /// The numbers that a client sees.
    fn seen(&self, client: Option<u64>) -> Vec<u64> {
        let (total, rows) =
            self.read(|c| credentials::list(c, &Page { limit: 100, ..Page::default() }, client));
        assert_eq!(total, rows.len() as u64);
        rows.iter().map(|row| row.id).collect()
    }

    /// The numbers whose keys open something.
    fn open(&self) -> Vec<u64> {
        let (_, rows) =
            self.read(|c| credentials::list(c, &Page { limit: 100, ..Page::default() }, None));
        rows.iter().filter(|row| !row.archived).map(|row| row.id).collect()
    }

    fn parent(&self, id: u64) -> Option<u64> {
        self.read(|c| credentials::get(c, id)).unwrap().parent
    }
}

#[test]
fn a_client_sees_itself_and_what_was_made_with_its_key() {
    let state = family();
    assert_eq!(state.seen(None), [1, 2, 3, 4, 5, 6]);
    for (client, seen) in
        [(1, &[1, 3, 4, 5][..]), (2, &[2, 6]), (3, &[3, 4]), (4, &[4]), (5, &[5]), (6, &[6])]
    {
        assert_eq!(state.seen(Some(client)), seen, "{client}");
    }
    let parents: Vec<_> = (1..=6).map(|id| state.parent(id)).collect();
    assert_eq!(
        parents,
        [None, None, Some(1), Some(3), Some(1), Some(2)],
        "never as the record says"
    );
}

#[test]
fn a_client_changes_only_what_was_made_with_its_key() {
    let mut state = family();
    let unknown = (RejectionKind::NotFound, "credential cannot be found".to_owned());
    for id in [2, 6, 77] {
        for command in [archive(id, true), archive(id, false), Command::DeleteCredential { id }] {
            assert_eq!(state.refused(&command.by_client(Some(1))), unknown, "{id}");
        }
    }
    // Nor its maker, nor what its maker made beside it.
    for id in [1, 5] {
        for command in [archive(id, true), Command::DeleteCredential { id }] {
            assert_eq!(state.refused(&command.by_client(Some(3))), unknown, "{id}");
        }
    }
    let own = Command::DeleteCredential { id: 1 }.by_client(Some(1));
    assert_eq!(state.refused(&own).0, RejectionKind::Forbidden);
    let other = Command::Tick.by_client(Some(1));
    assert_eq!(state.refused(&other).0, RejectionKind::Invalid, "it is for credentials only");
    state.done(archive(4, true).by_client(Some(1)));
    state.done(Command::DeleteCredential { id: 5 }.by_client(Some(1)));
    assert_eq!((state.open(), state.seen(Some(1))), (vec![1, 2, 3, 6], vec![1, 3, 4]));
}

#[test]
fn archiving_a_key_archives_what_it_made_and_what_that_made() {
    let mut state = family();
    state.now += 1_000;
    state.done(archive(1, true));
    assert!(state.change.credentials);
    assert_eq!(state.open(), [2, 6]);
    let below = state.read(|c| credentials::get(c, 4)).unwrap();
    assert_eq!((below.archived_by.as_deref(), below.modified), (Some("me"), Some(START + 1_000)));
    // It can do nothing more, though its request was authenticated before.
    for command in [new("g"), archive(3, true), Command::DeleteCredential { id: 3 }] {
        let (kind, message) = state.refused(&command.by_client(Some(1)));
        assert_eq!(kind, RejectionKind::Forbidden);
        assert!(message.contains("archived or deleted meanwhile"), "{message}");
    }
    // An operator takes back that one, and what it made stays archived.
    state.done(archive(1, false));
    assert_eq!(state.open(), [1, 2, 6]);
    let (kind, message) = state.refused(&archive(3, false).by_client(Some(1)));
    assert_eq!(kind, RejectionKind::Forbidden);
    assert!(message.contains("only an operator"), "{message}");
    state.done(archive(3, false));
    assert_eq!(state.open(), [1, 2, 3, 6]);
    // Saying that a key is in use which is in use takes nothing back.
    state.done(archive(3, false).by_client(Some(1)));
}

#[test]
fn a_client_that_the_entry_names_reaches_no_further_without_a_wrapper() {
    let client = |credential| Some(ActorRef::Client { credential });
    let as_actor = |state: &mut ApplyFixture, actor: Option<ActorRef>, command| {
        state.apply_for(actor.as_ref(), &command)
    };
    let kind = |outcome| match outcome {
        Outcome::Rejected(why) => why.kind,
        outcome => panic!("{outcome:?}"),
    };
    let mut state = family();
    let created = as_actor(&mut state, client(1), new("g"));
    assert_eq!((created, state.parent(7)), (Outcome::Created(7), Some(1)));
    for command in [archive(2, true), Command::DeleteCredential { id: 6 }] {
        assert_eq!(kind(as_actor(&mut state, client(1), command)), RejectionKind::NotFound);
    }
    let own = Command::DeleteCredential { id: 1 };
    assert_eq!(kind(as_actor(&mut state, client(1), own)), RejectionKind::Forbidden);
    // Under a wrapper, both say the same, or nothing is done.
    let wrapped = || Command::DeleteCredential { id: 7 }.by_client(Some(1));
    let other = kind(as_actor(&mut state, client(2), wrapped()));
    assert_eq!(other, RejectionKind::Forbidden);
    let once = Command::Once { key: [1; 32], body: [2; 32], command: Box::new(wrapped()) };
    assert_eq!(as_actor(&mut state, client(1), once.clone()), Outcome::Done);
    assert_eq!(as_actor(&mut state, client(1), once), Outcome::Done, "it is repeated");
    // Anybody else reaches all of them.
    for actor in [None, Some(ActorRef::Operator), Some(ActorRef::Node { node: 1 })] {
        assert_eq!(as_actor(&mut state, actor, archive(2, true)), Outcome::Done);
    }
}

#[test]
fn a_client_may_archive_itself() {
    let mut state = family();
    state.done(archive(3, true).by_client(Some(3)));
    assert_eq!(state.open(), [1, 2, 5, 6]);
    assert_eq!(state.refused(&new("g").by_client(Some(3))).0, RejectionKind::Forbidden);
}

#[test]
fn what_a_deleted_key_made_is_archived_and_its_makers() {
    let mut state = family();
    state.done(Command::DeleteCredential { id: 3 });
    assert_eq!((state.open(), state.seen(Some(1))), (vec![1, 2, 5, 6], vec![1, 4, 5]));
    assert_eq!(state.parent(4), Some(1));
    state.done(Command::DeleteCredential { id: 1 });
    assert_eq!((state.open(), state.parent(4), state.parent(5)), (vec![2, 6], None, None));
    assert_eq!(state.refused(&new("g").by_client(Some(1))).0, RejectionKind::Forbidden);
}

#[test]
fn a_client_sorts_and_pages_what_it_sees() {
    let state = family();
    let page = Page {
        limit: 2,
        offset: 1,
        descending: true,
        order_by: credentials::Order::Created,
        ..Page::default()
    };
    let (total, rows) = state.read(|c| credentials::list(c, &page, Some(1)));
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!((total, ids), (4, vec![4, 3]));
}

#[test]
fn credentials_are_unique_and_archived_at_once() {
    let mut state = ApplyFixture::new();
    let credential =
        Credential { id: 77, api_key: "key".into(), verifier: vec![1, 2], ..Credential::default() };
    assert_eq!(state.done(Command::CreateCredential(credential.clone())), Outcome::Created(1));
    assert!(state.change.credentials);
    assert_eq!(state.refused(&Command::CreateCredential(credential)).0, RejectionKind::Conflict);
    let archive = |id| Command::ArchiveCredential { id, archived: true, by: Some("me".into()) };
    state.done(archive(1));
    let found = state.read(|c| credentials::by_key(c, "key")).unwrap();
    assert_eq!((found.archived, found.created), (true, START));
    assert_eq!(found.archived_by.as_deref(), Some("me"));
    let unknown = (RejectionKind::NotFound, "credential cannot be found".to_owned());
    assert_eq!(state.refused(&archive(2)), unknown);
    state.done(Command::DeleteCredential { id: 1 });
    assert_eq!(state.refused(&Command::DeleteCredential { id: 1 }), unknown);
}

#[test]
fn the_end_of_sessions_is_stamped_on_those_that_are_reached_only() {
    let mut state = family();
    let end = |credential| Command::EndSessions { credential };
    let ended = |state: &ApplyFixture| {
        let mut found: Vec<_> = state.read(credentials::ended_sessions).into_iter().collect();
        found.sort_unstable();
        (found, state.read(meta::operator_sessions_from))
    };
    assert_eq!(ended(&state), (vec![], None));
    let forbidden = state.refused(&end(None).by_client(Some(1)));
    assert_eq!(forbidden.0, RejectionKind::Forbidden, "those of operators");
    assert_eq!(state.refused(&end(Some(2)).by_client(Some(1))).0, RejectionKind::NotFound);
    assert_eq!(state.refused(&end(Some(99))).0, RejectionKind::NotFound);
    assert_eq!(ended(&state), (vec![], None));
    state.now = START + 7;
    state.done(end(Some(3)).by_client(Some(1)));
    assert!(state.change.credentials, "nodes read it again");
    state.now = START + 9;
    state.done(end(Some(2)));
    state.done(end(None));
    assert_eq!(ended(&state), (vec![(2, START + 9), (3, START + 7)], Some(START + 9)));
    state.now = START + 11;
    state.done(end(Some(3)));
    assert_eq!(ended(&state).0, [(2, START + 9), (3, START + 11)]);
    assert_eq!(end(None).level(), 5);
}

#[test]
fn one_session_is_over_until_it_would_have_ended_and_no_longer() {
    const HOUR: i64 = 3_600_000;
    let mut state = ApplyFixture::new();
    let end = |session, expires| Command::EndSession { session, expires };
    let ended = |state: &ApplyFixture| {
        let mut all: Vec<_> = state.read(ended_sessions::all).into_iter().collect();
        all.sort_unstable();
        all
    };
    state.done(end(7, START + HOUR));
    assert!(state.change.credentials, "nodes read it again");
    state.done(end(u64::MAX, START + 2 * HOUR));
    state.done(end(7, START + HOUR));
    assert_eq!(ended(&state), [7, u64::MAX]);
    assert!(state.read(|c| ended_sessions::has(c, u64::MAX)));
    // One that is over anyway, and one that claims to last for ever.
    state.done(end(8, START));
    state.done(end(9, i64::MAX));
    assert_eq!(ended(&state), [7, 9, u64::MAX]);
    state.now = START + HOUR;
    state.done(end(8, START));
    assert_eq!(ended(&state), [9, u64::MAX]);
    state.now = START + 25 * HOUR;
    state.done(end(10, state.now + HOUR));
    assert_eq!(ended(&state), [10]);
    assert_eq!(end(1, 1).level(), 7);
}
