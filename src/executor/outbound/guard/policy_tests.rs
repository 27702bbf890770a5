//! Where the policy of a node, its list and that of a project let calls go.

use super::*;

fn patterns(texts: &[&str]) -> Arc<[TargetPattern]> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|e| panic!("{e}"))).collect()
}

fn guard(policy: TargetPolicy, allowed: &[&str]) -> TargetGuard {
    let is_open = policy == TargetPolicy::Open;
    TargetGuard {
        allow_loopback: is_open,
        allow_private: is_open,
        apis: Arc::new(RaftAddresses::of_urls(["http://node1:9091", "http://93.184.216.1:9091"])),
        members: Arc::new(RaftAddresses::new(["node1:7070"])),
        policy,
        allowed: patterns(allowed),
        ..TargetGuard::default()
    }
}

/// Whether an address that the host of a URL was found to have may be connected to.
fn found(guard: &TargetGuard, url: &str, ip: &str) -> Result<(), Error> {
    let url = Url::parse(url).unwrap();
    let host = url.host().unwrap();
    let target = Target { scheme: url.scheme(), host: &host, port: port_of(&url) };
    guard.check_found(target, ip.parse().unwrap())
}

#[test]
fn public_allows_global_addresses_and_the_ports_of_the_web_and_of_users() {
    let public = guard(TargetPolicy::Public, &[]);
    for ok in [
        "http://example.com/",
        "https://example.com/",
        "https://example.com:80/",
        "http://example.com:1024/",
        "http://8.8.8.8:65535/",
        "https://[2606:4700:4700::1111]/",
        "http://node1:8080/",
    ] {
        assert_eq!(public.check_url(ok), Ok(()), "{ok}");
    }
    for port in [1, 21, 22, 25, 79, 81, 110, 442, 444, 1_023] {
        let url = format!("http://example.com:{port}/");
        assert_eq!(public.check_url(&url), Err(Error::RefusedPort(port)), "{url}");
    }
    for (bad, wanted) in [
        ("http://node1:9091/", Error::Api),
        ("http://NODE1.:9091/jobs", Error::Api),
        ("http://93.184.216.1:9091/", Error::Api),
        ("http://[::ffff:93.184.216.1]:9091/", Error::Api),
        ("http://node1:7070/", Error::Member),
    ] {
        assert_eq!(public.check_url(bad), Err(wanted), "{bad}");
    }
    for bad in [
        "http://127.0.0.1:3000/",
        "http://localhost:3000/",
        "http://a.LOCALHOST.:3000/",
        "http://10.0.0.1/",
        "http://0xa000001/",
        "http://012.1/",
        "http://167772161/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://[2002:a00:1::]/",
        "http://[fd00::1]/",
    ] {
        let refused = public.check_url(bad).unwrap_err();
        assert!(matches!(refused, Error::Address(..)) && refused.is_refusal(), "{bad}: {refused}");
    }
    // Of several looks at a name each is judged.
    assert_eq!(found(&public, "http://name.example/", "9.9.9.9"), Ok(()));
    for ip in ["10.0.0.1", "127.0.0.1", "::1", "::ffff:10.0.0.1", "2002:7f00:1::", "fd00::1"] {
        assert!(found(&public, "http://name.example/", ip).is_err(), "{ip}");
    }
    assert!(found(&public, "http://name.example:22/", "9.9.9.9").is_err());
}

#[test]
fn a_list_is_all_that_may_be_called() {
    let allowed = ["https://*.a.example:443", "build:8000", "10.0.0.0/8:443", "node1:9091"];
    let list = guard(TargetPolicy::List, &allowed);
    for ok in [
        "https://x.a.example/",
        "http://build:8000/",
        "https://10.1.1.1/",
        "http://node1:9091/",
        // It may lead to an address that is listed.
        "https://other.example/",
    ] {
        assert_eq!(list.check_url(ok), Ok(()), "{ok}");
    }
    for bad in [
        "http://x.a.example/",
        "https://evila.example:444/",
        "http://evila.example/",
        "http://build:8001/",
        "https://11.0.0.1/",
        "http://8.8.8.8/",
        "https://[2002:a00:1::]:444/",
    ] {
        assert_eq!(list.check_url(bad), Err(Error::NotListed), "{bad}");
    }
    assert_eq!(found(&list, "https://other.example/", "10.3.2.1"), Ok(()));
    assert_eq!(found(&list, "https://other.example/", "9.9.9.9"), Err(Error::NotListed));
    assert_eq!(found(&list, "https://x.a.example/", "192.168.1.1"), Ok(()), "a listed name");
    let never = found(&list, "https://x.a.example/", "169.254.169.254");
    assert!(matches!(never, Err(Error::Address(..))), "{never:?}");
}

#[test]
fn what_a_list_names_is_the_address_that_is_reached() {
    // A network of IPv6 that holds the forms of IPv4 addresses.
    let all = guard(TargetPolicy::Public, &["[2000::/3]:443", "[::/0]:443"]);
    for url in
        ["https://[2002:7f00:1::]/", "https://[64:ff9b::7f00:1]/", "https://[::ffff:10.0.0.1]/"]
    {
        assert!(all.check_url(url).is_err(), "{url}");
    }
    for ip in ["2002:7f00:1::", "2002:a00:1::", "64:ff9b::10.0.0.1", "::ffff:127.0.0.1"] {
        assert!(found(&all, "https://name.example/", ip).is_err(), "{ip}");
    }
    // The other way round: the network of the address that is reached counts.
    let ten = guard(TargetPolicy::Public, &["10.0.0.0/8:443"]);
    for url in ["https://[64:ff9b::a00:1]/", "https://[::ffff:10.0.0.1]/"] {
        assert_eq!(ten.check_url(url), Ok(()), "{url}");
    }
    assert!(ten.check_url("https://[fd00::1]/").is_err());
    // Anybody may have a prefix below which an address looks like one of the list.
    let list = guard(TargetPolicy::List, &["10.0.0.0/8:443", "8.8.8.8:443"]);
    for ip in ["2606:4700::5efe:a00:1", "2606:4700::5efe:808:808", "2002:808:808::"] {
        assert_eq!(list.check_url(&format!("https://[{ip}]/")), Err(Error::NotListed), "{ip}");
        let named = found(&list, "https://name.example/", ip);
        assert_eq!(named, Err(Error::NotListed), "{ip}");
    }
}

#[test]
fn nothing_that_is_never_called_can_be_listed() {
    let all = ["0.0.0.0/0:*", "[::/0]:*", "metadata:80", "node1:*", "*.internal:*"];
    for policy in [TargetPolicy::Public, TargetPolicy::List] {
        let guard = guard(policy, &all);
        for bad in [
            "http://169.254.169.254/",
            "http://[fe80::1]/",
            "http://224.0.0.1/",
            "http://metadata/",
            "http://metadata.google.internal/",
            "http://node1:7070/",
        ] {
            assert!(guard.check_url(bad).is_err_and(|error| error.is_refusal()), "{bad}");
        }
        assert_eq!(guard.check_url("http://127.0.0.1:22/"), Ok(()));
    }
}

#[test]
fn the_list_of_a_project_only_takes_away() {
    let own = patterns(&["https://*.a.example", "10.0.0.0/8:443", "127.0.0.1:3000"]);
    for policy in [TargetPolicy::Open, TargetPolicy::Public] {
        let guard = guard(policy, &[]).for_project(Some(&own));
        assert_eq!(guard.check_url("https://x.a.example/"), Ok(()));
        for bad in ["https://evila.example:444/", "http://x.a.example/", "https://11.1.1.1/"] {
            assert_eq!(guard.check_url(bad), Err(Error::NotOfProject), "{bad}");
        }
        let is_open = policy == TargetPolicy::Open;
        for url in ["https://10.1.1.1/", "http://127.0.0.1:3000/"] {
            assert_eq!(guard.check_url(url).is_ok(), is_open, "{policy:?} {url}");
        }
        let named = found(&guard, "https://x.a.example/", "10.1.1.1");
        assert_eq!(named.is_ok(), is_open, "{policy:?}");
        assert_eq!(found(&guard, "https://x.a.example/", "9.9.9.9"), Ok(()));
        let other = found(&guard, "https://other.example/", "9.9.9.9");
        assert_eq!(other, Err(Error::NotOfProject));
    }
}

#[test]
fn brokers_are_judged_by_their_own_schemes() {
    let list = guard(TargetPolicy::List, &["amqps://mq", "amqp://10.0.0.0/8"]);
    let broker = |url: &str| list.check_broker(&Url::parse(url).unwrap());
    assert_eq!(broker("https://mq:5671/"), Ok(()));
    assert_eq!(broker("http://10.0.0.1:5672/"), Ok(()));
    assert_eq!(broker("http://mq:5671/"), Err(Error::NotListed));
    assert_eq!(list.check_url("https://mq:5671/"), Err(Error::NotListed), "it is for amqps");
    let own = patterns(&["amqp://10.0.0.0/8"]);
    let guard = TargetGuard::default().for_project(Some(&own));
    let named = guard.check_broker(&Url::parse("http://mq:5672/").unwrap());
    assert_eq!(named, Err(Error::NotOfProject), "connections are shared by projects");
}

#[test]
fn answers_of_internal_addresses_are_hidden_where_a_policy_says_so() {
    let hidden = |policy, ip: &str| guard(policy, &[]).hides_answers(ip.parse().unwrap());
    for ip in ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1", "2002:a00:1::"] {
        assert!(!hidden(TargetPolicy::Open, ip), "{ip}");
        assert!(hidden(TargetPolicy::Public, ip) && hidden(TargetPolicy::List, ip), "{ip}");
    }
    for ip in ["9.9.9.9", "2606:4700:4700::1111"] {
        assert!(!hidden(TargetPolicy::Public, ip), "{ip}");
    }
}
