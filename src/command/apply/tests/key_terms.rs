//! Terms of keys: no key gives or changes more than it has, whoever asks at the same time; rotation
//! with an overlap, and the last use.

use super::*;
use crate::model::credential::{Credential, HOUR_MS, KeyUse, LastUse, OldSecret};
use crate::model::key_terms::{KeyTerms, TermsEdit};
use crate::model::scope::Scopes;
use crate::store::credentials;

/// Terms with the scopes of these words.
fn terms(words: &[&str]) -> KeyTerms {
    let scopes = words.iter().map(|word| Scopes::of_word(word).unwrap());
    let scopes = scopes.reduce(|all, one| all | one);
    KeyTerms { scopes, ..KeyTerms::default() }
}

fn new(api_key: &str, terms: KeyTerms) -> Command {
    let (api_key, verifier) = (api_key.to_owned(), vec![1]);
    Command::CreateCredential(Credential { api_key, verifier, terms, ..Credential::default() })
}

fn edit(id: u64, from: KeyTerms, to: KeyTerms) -> Command {
    let edit = Box::new(TermsEdit { from, to, archived: None });
    Command::ChangeCredential { id, edit, by: None }
}

fn rotate(id: u64, overlap: Millis) -> Command {
    Command::RotateCredential { id, verifier: vec![9], overlap }
}

impl ApplyFixture {
    fn key(&self, id: u64) -> Credential {
        self.read(|conn| credentials::get(conn, id)).unwrap()
    }
}

#[test]
fn a_key_makes_no_key_that_has_more_than_it_has() {
    let mut state = ApplyFixture::new();
    let read = terms(&["read", "credentials:write"]);
    let limited = KeyTerms {
        expires: Some(START + 5_000),
        allowed: vec!["10.0.0.0/8".parse().unwrap()],
        ..read.clone()
    };
    state.done(new("any", KeyTerms::default()));
    state.done(new("read", read));
    state.done(new("limited", limited.clone()));
    // The maker, what it is to make, and what is too much.
    let table = [
        (1, terms(&["*", "audit:read"]), "audit:read"),
        (1, terms(&["cluster:read"]), "cluster:read"),
        (1, terms(&["admin"]), "accounts:write"),
        (2, KeyTerms::default(), "jobs:write"),
        (2, terms(&["*"]), "jobs:write"),
        (2, terms(&["jobs:read", "jobs:write"]), "jobs:write"),
        (2, terms(&["execute"]), "runs:write"),
        (2, terms(&["credentials:read"]), "credentials:read"),
        (3, KeyTerms { expires: None, ..limited.clone() }, "expiresAt"),
        (3, KeyTerms { expires: Some(START + 5_001), ..limited.clone() }, "expiresAt"),
        (3, KeyTerms { allowed: Vec::new(), ..limited.clone() }, "allowedIps"),
        (3, KeyTerms { allowed: vec!["::/0".parse().unwrap()], ..limited.clone() }, "allowedIps"),
    ];
    for (maker, terms, part) in table {
        let wanted = format!("{maker} {terms:?}");
        let (kind, message) = state.refused(&new("k", terms).by_client(Some(maker)));
        assert_eq!(kind, RejectionKind::Forbidden, "{wanted}");
        assert!(message.contains("more than it has") && message.contains(part), "{message}");
    }
    state.done(new("a", KeyTerms::default()).by_client(Some(1)));
    state.done(new("b", terms(&["jobs:read"])).by_client(Some(2)));
    state.done(new("c", limited).by_client(Some(3)));
    assert_eq!(state.key(6).terms.expires, Some(START + 5_000));
    // An operator gives what it likes.
    state.done(new("d", terms(&["admin", "cluster:read", "cluster:admin"])));
    state.done(new("e", terms(&["cluster:read"])).by_client(Some(7)));
    let (_, message) = state.refused(&new("f", terms(&["cluster:read"])).by_client(Some(8)));
    assert!(message.contains("given by operators"), "{message}");
    // Once it has expired, it makes nothing any more, though its request was let in before.
    state.now = START + 5_000;
    let (kind, message) = state.refused(&new("g", terms(&["jobs:read"])).by_client(Some(3)));
    assert_eq!(kind, RejectionKind::Forbidden);
    assert!(message.contains("has expired meanwhile"), "{message}");
}

#[test]
fn a_key_changes_no_key_that_has_more_than_it_has() {
    let mut state = ApplyFixture::new();
    let narrow = terms(&["jobs:read", "credentials:write"]);
    state.done(new("narrow", narrow.clone()));
    state.done(new("below", terms(&["jobs:read"])).by_client(Some(1)));
    // An operator gives the one below more than the one above.
    state.done(edit(2, terms(&["jobs:read"]), terms(&["jobs:read", "runs:write"])));
    for command in [
        rotate(2, 0),
        edit(2, terms(&["jobs:read", "runs:write"]), terms(&["jobs:read"])),
        Command::ArchiveCredential { id: 2, archived: true, by: None },
        Command::DeleteCredential { id: 2 },
        Command::EndSessions { credential: Some(2) },
    ] {
        let (kind, message) = state.refused(&command.by_client(Some(1)));
        assert_eq!(kind, RejectionKind::Forbidden, "{message}");
        assert!(message.contains("has more than it has: it lacks the scopes runs:write"));
    }
    // Itself it changes, and gives up what it has, for ever.
    let wider = KeyTerms { scopes: Some(Scopes::ALL), ..narrow.clone() };
    let (kind, _) = state.refused(&edit(1, narrow.clone(), wider).by_client(Some(1)));
    assert_eq!(kind, RejectionKind::Forbidden);
    let less = terms(&["credentials:write"]);
    state.done(edit(1, narrow.clone(), less.clone()).by_client(Some(1)));
    let (_, message) = state.refused(&edit(1, less, narrow).by_client(Some(1)));
    assert!(message.contains("jobs:read"), "{message}");
    // A scope on the cluster is kept, not given, by the key that has it.
    let seer = terms(&["cluster:read", "credentials:write"]);
    state.done(new("seer", seer.clone()));
    let named = KeyTerms { name: Some("seer".into()), ..seer.clone() };
    state.done(edit(3, seer, named).by_client(Some(3)));
    assert_eq!(state.key(3).terms.name.as_deref(), Some("seer"));
}

#[test]
fn of_two_changes_of_the_same_terms_the_second_is_told_so() {
    let mut state = ApplyFixture::new();
    state.done(new("k", KeyTerms::default()));
    state.now += 7;
    state.done(edit(1, KeyTerms::default(), terms(&["jobs:read"])));
    assert!(state.change.credentials, "nodes read it again");
    assert_eq!(state.key(1).modified, Some(START + 7));
    let (kind, _) = state.refused(&edit(1, KeyTerms::default(), terms(&["runs:read"])));
    assert_eq!(kind, RejectionKind::Stale);
    let (kind, _) = state.refused(&edit(9, KeyTerms::default(), terms(&["runs:read"])));
    assert_eq!(kind, RejectionKind::NotFound);
    let off =
        TermsEdit { from: terms(&["jobs:read"]), to: KeyTerms::default(), archived: Some(true) };
    let off = Command::ChangeCredential { id: 1, edit: Box::new(off), by: Some("me".into()) };
    state.done(off);
    let key = state.key(1);
    assert_eq!((key.archived, key.archived_by.as_deref()), (true, Some("me")));
    assert!(key.terms.are_default());
}

#[test]
fn a_rotated_key_has_its_old_secret_until_the_overlap_is_over() {
    let mut state = ApplyFixture::new();
    state.done(new("k", KeyTerms::default()));
    state.done(rotate(1, 1_000));
    let key = state.key(1);
    let old = OldSecret { verifier: vec![1], until: START + 1_000 };
    assert!(key.verifier == [9] && key.old_secret == Some(old) && state.change.credentials);
    let ended = |state: &ApplyFixture| state.read(|conn| credentials::sessions_end(conn, 1));
    assert_eq!(ended(&state), None, "sessions go on with an overlap");
    state.now += 5;
    state.done(rotate(1, 0));
    // It opens nothing at any time, and its sessions are over.
    assert_eq!(state.key(1).old_secret.map(|old| (old.verifier, old.until)), Some((vec![9], 0)));
    assert_eq!(ended(&state), Some(START + 5));
    assert_eq!(state.refused(&rotate(9, 0)).0, RejectionKind::NotFound);
    assert_eq!(state.refused(&rotate(9, 0).by_client(Some(1))).0, RejectionKind::NotFound);
}

#[test]
fn the_last_use_is_the_latest_hour_that_a_node_told_of() {
    let mut state = ApplyFixture::new();
    state.done(new("k", KeyTerms::default()));
    let hour = START / HOUR_MS;
    let touch = |hour, from: &str| {
        let from = Some(from.parse().unwrap());
        Command::TouchCredentials(vec![KeyUse { id: 1, hour, from }, KeyUse { id: 9, hour, from }])
    };
    let last = |state: &ApplyFixture| state.key(1).last_use;
    let use_of = |hour, from: &str| Some(LastUse { hour, from: Some(from.parse().unwrap()) });
    assert_eq!(last(&state), None);
    state.done(touch(hour - 1, "10.0.0.1"));
    assert_eq!(last(&state), use_of(hour - 1, "10.0.0.1"));
    assert!(state.change.credentials, "no other node tells of that hour again");
    assert_eq!(state.key(1).modified, None, "a use is no change");
    state.done(touch(hour - 1, "10.0.0.2"));
    assert!(!state.change.credentials, "it is known");
    state.done(touch(hour - 2, "10.0.0.3"));
    assert_eq!(last(&state), use_of(hour - 1, "10.0.0.1"));
    // A clock that is ahead does not keep later uses out.
    state.done(touch(hour + 500, "::1"));
    assert_eq!(last(&state), use_of(hour, "::1"));
}
