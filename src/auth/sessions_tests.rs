//! Tests of `sessions` and `ticket`: what a session is good for, and when it is over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::ticket::{IDLE_SECONDS, LINK_SECONDS, link_token};
use super::*;
use crate::model::credential::OldSecret;
use crate::secret::Keys;

const BEGIN: (Millis, Millis) = (1_000, 1_000);

fn keys(password: &str) -> Keys {
    Keys::new(&"ab".repeat(32), "node", password).unwrap()
}

fn sessions(password: &str) -> Sessions {
    Sessions::new(Auth::new(Arc::new(keys(password))), Site::default())
}

fn value(cookie: &HeaderValue) -> String {
    let text = cookie.to_str().unwrap();
    text.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
}

#[test]
fn a_session_holds_for_its_time_its_purpose_and_its_password() {
    let here = keys("pass");
    let text = Ticket::of_operator(&here, BEGIN).seal(&here, purpose::SESSION);
    let open = |text: &str, keys: &Keys, purpose, now| Ticket::open(text, (keys, purpose), now);
    let idle = 1_000 + IDLE_SECONDS * 1_000;
    assert!(open(&text, &here, purpose::SESSION, idle - 1).is_some());
    assert!(open(&text, &here, purpose::SESSION, idle).is_none(), "nobody used it for an hour");
    assert!(open(&text, &here, purpose::SIGN_IN_LINK, 2_000).is_none(), "it is no link");
    assert!(open(&text, &keys("other"), purpose::SESSION, 2_000).is_none(), "new password");
    let mut broken = text.clone();
    broken.replace_range(20..21, if &text[20..21] == "A" { "B" } else { "A" });
    assert!(open(&broken, &here, purpose::SESSION, 2_000).is_none(), "tampered with");
    // Under the secret key alone nobody makes one: username and password are in the proof.
    let fingerprint = here.fingerprint();
    for proof in [String::new(), format!("\"proof\":\"{fingerprint}\",")] {
        let text = format!(
            "{{\"key\":null,\"mark\":\"{fingerprint}\",{proof}\"expires\":9000000,\"id\":1}}"
        );
        let forged = here.seal(&text, purpose::SESSION);
        assert!(open(&forged.0, &here, purpose::SESSION, 2_000).is_none(), "{text}");
    }
}

#[test]
fn a_session_that_is_used_goes_on_until_its_twelve_hours_are_over() {
    let here = keys("pass");
    let (begun, mut now) = (Ticket::of_operator(&here, BEGIN), 1_000);
    let mut ticket = begun.clone();
    let end = 1_000 + SESSION_SECONDS * 1_000;
    assert!(ticket.renewed(now + 299_999).is_none(), "its cookie is new");
    let mut renewals = 0;
    while now + IDLE_SECONDS * 999 < end {
        now += IDLE_SECONDS * 999;
        let text = ticket.seal(&here, purpose::SESSION);
        ticket = Ticket::open(&text, (&here, purpose::SESSION), now).expect("it was used");
        ticket = ticket.renewed(now).expect("its cookie is old");
        assert_eq!((ticket.id, ticket.expires), (begun.id, begun.expires), "it is the same one");
        renewals += 1;
    }
    assert_eq!(renewals, 12);
    let text = ticket.seal(&here, purpose::SESSION);
    assert!(Ticket::open(&text, (&here, purpose::SESSION), end - 1).is_some());
    assert!(Ticket::open(&text, (&here, purpose::SESSION), end).is_none());
}

#[test]
fn a_link_signs_in_once_within_a_minute() {
    let here = sessions("pass");
    let token = link_token(&here.auth.keys, 1_000);
    assert!(!here.use_link(&token, 1_000 + LINK_SECONDS * 1_000), "it is over");
    assert!(here.use_link(&token, 2_000));
    assert!(!here.use_link(&token, 2_001), "it was used");
    let keys = &here.auth.keys;
    let session = Ticket::of_operator(keys, BEGIN).seal(keys, purpose::SESSION);
    assert!(!here.use_link(&session, 2_000), "a session is no link");
    let client = Ticket::of_client(keys, ("k".into(), &[1]), BEGIN);
    assert!(!here.use_link(&client.seal(keys, purpose::SIGN_IN_LINK), 2_000), "of no operator");
}

#[test]
fn sessions_that_were_begun_before_the_end_of_all_are_over() {
    let keys = keys("pass");
    let pair = |sessions_from| Pair { id: 7, root: 7, sessions_from, ..Pair::default() };
    let pairs = |client, operator_sessions_from| Pairs {
        by_key: HashMap::from([("k".to_owned(), pair(client))]),
        operator_sessions_from,
        ..Pairs::default()
    };
    let ticket = |key: Option<&str>, issued| match key {
        None => Ticket::of_operator(&keys, (5_000, issued)),
        Some(key) => Ticket::of_client(&keys, (key.to_owned(), &[]), (5_000, issued)),
    };
    let caller = |pair: &Pair| pair.caller(&Origin::new(6_000, None)).map(Ok);
    let holds = |ticket: &Ticket, pairs: &Pairs| valid(ticket, pairs, caller).is_some();
    for key in [None, Some("k")] {
        let ended =
            |at: Millis| if key.is_some() { pairs(Some(at), None) } else { pairs(None, Some(at)) };
        let begun = ticket(key, 5_000);
        assert!(holds(&begun, &pairs(None, None)));
        assert!(holds(&begun, &ended(4_999)), "it was begun afterwards");
        assert!(!holds(&begun, &ended(5_000)));
        // The other's sessions are not concerned.
        let other = if key.is_some() { pairs(None, Some(9_000)) } else { pairs(Some(9_000), None) };
        assert!(holds(&begun, &other));
        // One that was ended alone.
        let alone = Pairs { ended: HashSet::from([begun.id]), ..pairs(None, None) };
        assert!(!holds(&begun, &alone) && holds(&ticket(key, 5_000), &alone));
    }
    assert!(!holds(&ticket(Some("gone"), 5_000), &pairs(None, None)));
}

#[test]
fn a_session_of_a_client_is_of_its_secret() {
    let keys = keys("pass");
    let pair = |verifier: u8, old: Option<u8>| Pair {
        verifier: vec![verifier],
        old_secret: old.map(|old| OldSecret { verifier: vec![old], until: 9_000 }),
        ..Pair::default()
    };
    let ticket = Ticket::of_client(&keys, ("k".to_owned(), &[1]), BEGIN);
    assert!(ticket.is_of(&pair(1, None), &keys, 2_000));
    assert!(!ticket.is_of(&pair(2, None), &keys, 2_000), "rotated without an overlap");
    assert!(ticket.is_of(&pair(2, Some(1)), &keys, 8_999));
    assert!(!ticket.is_of(&pair(2, Some(1)), &keys, 9_000), "the overlap is over");
}

#[test]
fn the_cookie_of_https_is_bound_to_its_host_and_that_of_http_is_not_secure() {
    let secure = |site: Site, origin: &'static str| {
        let sessions = Sessions::new(Auth::new(Arc::new(keys("pass"))), site);
        let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
        let ticket = Ticket::of_operator(&sessions.auth.keys, BEGIN);
        let by_https = sessions.site.came_by_https(&headers);
        let cookie = sessions.set_cookie(&ticket, 1_000, by_https);
        let ends = sessions.sign_out().len();
        assert!(sessions.sign_out().iter().all(|line| value(line).is_empty()));
        (cookie.to_str().unwrap().to_owned(), ends)
    };
    let url = url::Url::parse("https://cron.example").unwrap();
    let flags = "; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax";
    for (site, origin, is_secure, ends) in [
        (Site::new(Some(&url)), "https://cron.example", true, 1),
        (Site::default(), "https://cron.example", true, 2),
        (Site::default(), "http://localhost:9091", false, 2),
    ] {
        let (text, count) = secure(site, origin);
        let end = if is_secure { format!("{flags}; Secure") } else { flags.to_owned() };
        assert_eq!(text.starts_with("__Host-s0_"), is_secure, "{text}");
        assert!(text.ends_with(&end), "{text}");
        assert_eq!(count, ends, "both are ended where both may be there");
    }
}

#[test]
fn a_cookie_is_found_among_others() {
    let headers = HeaderMap::from_iter([(
        header::COOKIE,
        HeaderValue::from_static("a=1; s0_ab=x-_y; s0_abc=2"),
    )]);
    assert_eq!(cookie(&headers, "s0_ab"), Some("x-_y"));
    assert_eq!(cookie(&headers, "s0"), None);
}
