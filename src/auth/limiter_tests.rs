//! The limits on wrong passwords and keys, at instants that the tests choose.

use super::*;

fn net(n: u32) -> IpAddr {
    IpAddr::V4(n.into())
}

fn from(n: u32) -> Source {
    Source::of(net(n), false)
}

/// The number of `tries` wrong passwords that are checked, one each `step`.
fn wrong(limiter: &Limiter, network: IpAddr, tries: u32, from: Instant, step: Duration) -> u32 {
    let mut checked = 0;
    for n in 0..tries {
        let now = from + step * n;
        let source = Source::of(network, false);
        if limiter.admit_password(source, now).is_ok() {
            limiter.wrong_password(source, now);
            checked += 1;
        }
    }
    checked
}

#[test]
fn a_network_is_wrong_twenty_times_a_minute() {
    let (limiter, start) = (Limiter::default(), Instant::now());
    // Ten a second, for a minute and two seconds.
    let checked = wrong(&limiter, net(1), 620, start, Duration::from_millis(100));
    assert_eq!(checked, 20 + 20);
    // Another network is not limited, and this one is free again a minute after its failures.
    let now = start + Duration::from_secs(62);
    assert_eq!(limiter.admit_password(from(2), now), Ok(()));
    let wait = limiter.admit_password(from(1), now).unwrap_err();
    assert_eq!(wait, Duration::from_secs(58));
    assert_eq!(limiter.admit_password(from(1), now + wait), Ok(()));
    assert_eq!(wrong(&limiter, net(1), 50, now + 2 * WINDOW, Duration::ZERO), 20);
}

#[test]
fn failures_that_come_slowly_count_for_a_minute_each() {
    let (limiter, start) = (Limiter::default(), Instant::now());
    // One in three seconds is what the limit lets through for ever.
    assert_eq!(wrong(&limiter, net(1), 500, start, Duration::from_secs(3)), 500);
    let start = start + 2 * WINDOW + Duration::from_mins(25);
    let checked = wrong(&limiter, net(1), 300, start, Duration::from_secs(1));
    assert_eq!(checked, 100, "five minutes");
}

#[test]
fn who_is_right_uses_nothing_up() {
    let (limiter, now) = (Limiter::default(), Instant::now());
    for n in 0..10_000 {
        assert_eq!(limiter.admit_password(from(n % 3), now), Ok(()), "{n}");
        limiter.signed_in(from(n % 3), now);
    }
    assert_eq!(limiter.report(), None);
}

#[test]
fn many_networks_together_are_limited_but_not_where_an_operator_signed_in() {
    let (limiter, now) = (Limiter::default(), Instant::now());
    assert_eq!(limiter.admit_password(from(7), now), Ok(()));
    limiter.signed_in(from(7), now);
    let each = |n: u32| wrong(&limiter, net(1_000 + n), 1, now, Duration::ZERO);
    let checked: u32 = (0..1_000).map(each).sum();
    assert_eq!(checked, ALL_PASSWORDS.burst);
    assert!(limiter.admit_password(from(1), now).is_err(), "a network that nobody knows");
    let most = MOST_FAILURES as u32;
    assert_eq!(wrong(&limiter, net(7), 200, now, Duration::ZERO), most);
    let later = now + KNOWN_FOR;
    assert_eq!(wrong(&limiter, net(7), 200, later, Duration::ZERO), most);
}

#[test]
fn guesses_from_everywhere_keep_nobody_out_who_is_at_the_nodes_own_machine() {
    let (limiter, now) = (Limiter::default(), Instant::now());
    // Enough networks to empty the bucket for all, and to fill the table.
    let each = |n: u32| wrong(&limiter, net(1_000 + n), 1, now, Duration::ZERO);
    let checked: u32 = (0..2 * MAX_NETWORKS as u32).map(each).sum();
    assert_eq!(checked, ALL_PASSWORDS.burst);
    for loopback in ["127.0.0.1", "127.0.0.2", "::"] {
        let loopback = loopback.parse().unwrap();
        let here = Source::of(loopback, false);
        assert_eq!(limiter.admit_password(here, now), Ok(()), "{loopback}");
        limiter.signed_in(Source::of(loopback, false), now);
        let proxied = Source::of(loopback, true);
        let refused = limiter.admit_password(proxied, now).is_err();
        assert!(refused, "{loopback}, for somebody else");
    }
    assert!(limiter.admit_password(from(1), now).is_err(), "its success is nobody else's");
    // Even the own machine may not guess for ever.
    let here = Ipv4Addr::LOCALHOST.into();
    for now in [now, now + WINDOW] {
        assert_eq!(wrong(&limiter, here, 200, now, Duration::ZERO), MOST_FAILURES as u32);
    }
    let report = limiter.report().unwrap();
    assert!(report.named.contains(&(here, 400)), "{report}");
}

#[test]
fn wrong_keys_are_counted_apart_from_passwords() {
    let (limiter, now) = (Limiter::default(), Instant::now());
    let told: Vec<_> = (0..30).map(|_| limiter.wrong_key(net(1), now)).collect();
    assert_eq!(told.iter().filter(|wait| wait.is_none()).count(), MOST_FAILURES);
    assert_eq!(told[29], Some(WINDOW));
    assert_eq!(limiter.admit_password(from(1), now), Ok(()));
    assert_eq!(limiter.wrong_key(net(2), now), None);
}

#[test]
fn the_table_is_bounded_and_what_does_not_fit_shares_an_entry() {
    let (limiter, now) = (Limiter::default(), Instant::now());
    let many = MAX_NETWORKS as u32 + 500;
    (0..many).for_each(|n| {
        limiter.wrong_key(net(n), now);
    });
    assert_eq!(limiter.lock().networks.len(), MAX_NETWORKS);
    assert!(limiter.wrong_key(net(many), now).is_some(), "500 others were wrong");
    // Quiet networks lose their entries, and their failures are reported all the same.
    let later = now + WINDOW;
    assert_eq!(limiter.wrong_key(net(many), later), None);
    assert_eq!(limiter.lock().networks.len(), 1);
    let report = limiter.report().unwrap();
    assert_eq!(report.failures, u64::from(many) + 2);
    assert_eq!(report.named, [(net(many), 1)]);
    assert_eq!(limiter.report(), None);
}

#[test]
fn a_report_names_the_worst_and_counts_all() {
    let (limiter, now) = (Limiter::default(), Instant::now());
    for n in 1..=12_u32 {
        (0..n).for_each(|_| {
            limiter.wrong_key(net(n), now);
        });
    }
    limiter.wrong_key("2001:db8:1:2::".parse().unwrap(), now);
    let report = limiter.report().unwrap();
    assert_eq!((report.failures, report.named.len()), (79, MAX_NAMED));
    let text = report.to_string();
    assert!(text.starts_with("0.0.0.12: 12, 0.0.0.11: 11, "), "{text}");
    assert!(text.ends_with("0.0.0.3: 3, others: 4"), "{text}");
    limiter.wrong_key("2001:db8:1:2::".parse().unwrap(), now);
    assert_eq!(limiter.report().unwrap().to_string(), "2001:db8:1:2::/64: 1");
}
