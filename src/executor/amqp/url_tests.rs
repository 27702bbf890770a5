//! URLs of brokers: their parts, the errors, and that no password is ever in one.

use proptest::prelude::*;

use super::*;
use crate::model::target::Sealed;

fn read(text: &str) -> BrokerUrl {
    BrokerUrl::read(text).unwrap()
}

fn broker(url: &BrokerUrl) -> Broker {
    Broker {
        tls: url.tls,
        host: url.host.clone(),
        port: url.port,
        vhost: url.vhost.clone(),
        user: url.user.clone(),
        password: Sealed("sealed".to_owned()),
        ca: String::new(),
    }
}

#[test]
fn the_examples_of_the_specification_are_read_as_it_says() {
    // https://www.rabbitmq.com/docs/uri-spec, appendix A; a host must be named here, and a virtual
    // host that is empty there is / here.
    for (text, user, password, host, port, vhost) in [
        ("amqp://user:pass@host:10000/vhost", "user", "pass", "host", 10_000, "vhost"),
        (
            "amqp://user%61:%61pass@ho%61st:10000/v%2fhost",
            "usera",
            "apass",
            "hoast",
            10_000,
            "v/host",
        ),
        ("amqp://host", "guest", "guest", "host", 5_672, "/"),
        ("amqp://host/", "guest", "guest", "host", 5_672, "/"),
        ("amqp://host/%2f", "guest", "guest", "host", 5_672, "/"),
        ("amqp://host/vhost", "guest", "guest", "host", 5_672, "vhost"),
        ("amqp://[::1]", "guest", "guest", "::1", 5_672, "/"),
        ("amqps://u:p%40@[fd00::1]:1/a", "u", "p@", "fd00::1", 1, "a"),
        ("AMQPS://u:@Rabbit.Example/a", "u", "", "rabbit.example", 5_671, "a"),
        ("amqp://u:p@0x7f.1/a", "u", "p", "127.0.0.1", 5_672, "a"),
        ("amqp://u:%2A%2A%2A@h/", "u", "***", "h", 5_672, "/"),
    ] {
        let url = read(text);
        let known = (&*url.user, &*url.host, url.port, &*url.vhost);
        assert_eq!(known, (user, host, port, vhost), "{text}");
        assert_eq!(url.password, Password::Given(password.to_owned().into()), "{text}");
        assert_eq!(url.tls, text.to_lowercase().starts_with("amqps"), "{text}");
    }
}

#[test]
fn what_is_no_url_of_a_broker_is_refused_with_a_reason_and_without_the_password() {
    for (text, part) in [
        ("", "must begin with amqp://"),
        ("http://u:hunter2@h/", "must begin with amqp://"),
        ("amqp:u:hunter2@h", "must begin with amqp://"),
        ("amqp://", "must name a host"),
        ("amqp://u:hunter2@", "must name a host"),
        ("amqp://u:hunter2@:5672", "must name a host"),
        ("amqp://:hunter2@h", "names no user"),
        ("amqp://u:hunter2@h:0", "its port"),
        ("amqp://u:hunter2@h:65536", "its port"),
        ("amqp://u:hunter2@h:+1", "its port"),
        ("amqp://u:hunter2@h:", "its port"),
        ("amqp://u:hunter2@h/a/b", "/ or @ too many"),
        ("amqp://u:5/hunter2@h", "/ or @ too many"),
        ("amqp://u:5?hunter2@h", "a ? in it"),
        ("amqp://u:5#hunter2@h", "a # in it"),
        ("amqp://u:a@hunter2@h", "%3A and %40"),
        ("amqp://u:a:hunter2@h", "%3A and %40"),
        ("amqp://u:hunter2%@h", "write a % as %25"),
        ("amqp://u:hunter2%zz@h", "write a % as %25"),
        ("amqp://u:hunter2%ff@h", "write a % as %25"),
        ("amqp://u:hunter2%00@h", "control characters"),
        ("amqp://u:hunter2@h\n", "control characters"),
        ("amqp://u:hunter2@h x", "blanks"),
        ("amqp://u:{{hunter2}}@h", "placeholders"),
        ("amqp://u:hunter2@h*", "its host"),
        ("amqp://u:hunter2@[::1", "its host"),
        ("amqp://u:hunter2@h?heartbeat=5", "the parameter heartbeat: leave it out"),
        ("amqps://u:hunter2@h/v?a=b&cacertfile=/c.pem", "give the certificates as ca"),
        ("amqp://u:hunter2@h/v?hunter2=1", "parameters are not understood"),
    ] {
        let error = BrokerUrl::read(text).unwrap_err();
        assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
    }
    let long = format!("amqp://u:{}@h", "p".repeat(LONGEST_PASSWORD + 1));
    assert!(BrokerUrl::read(&long).unwrap_err().contains("1024 bytes"));
    assert!(BrokerUrl::read(&"x".repeat(5_000)).unwrap_err().contains("4096 bytes"));
}

#[test]
fn a_url_is_shown_without_its_password_and_keeps_it_when_it_is_written_back() {
    for (text, expected) in [
        ("amqp://user:hunter2@host", "amqp://user:***@host/%2F"),
        ("amqps://us%40er:hunter2@host:5672/v%2Fh", "amqps://us%40er:***@host:5672/v%2Fh"),
        ("amqps://u:hunter2@[::1]:5671/v", "amqps://u:***@[::1]/v"),
    ] {
        let url = read(text);
        let known = broker(&url);
        assert_eq!(shown(&known), expected);
        let again = read(expected);
        assert_eq!(again.password, Password::Kept);
        assert!(again.keeps_password_of(&known));
        assert!(!format!("{url:?}").contains("hunter2"), "{url:?}");
        assert!(for_guard(&known).is_ok());
    }
    let known = broker(&read("amqps://u:p@host:5671/v"));
    for other in [
        "amqp://u:***@host:5671/v",
        "amqps://u:***@host:5672/v",
        "amqps://u:***@host2:5671/v",
        "amqps://u:***@host:5671/V",
        "amqps://U:***@host:5671/v",
    ] {
        assert!(!read(other).keeps_password_of(&known), "{other}");
    }
    let left_out = read("amqps://u@host/v");
    assert!(left_out.password == Password::Kept && left_out.keeps_password_of(&known));
}

proptest! {
    /// Whatever stands around a password, and wherever it stands: no error has it.
    #[test]
    fn no_text_makes_the_reader_panic_or_an_error_show_a_password(
        before in "(amqps?://)?[a-z:@/?#%\\[\\]{} &=*\u{0}é.]{0,12}",
        after in "[a-z:@/?#%\\[\\]{} &=*\u{0}é.]{0,12}",
    ) {
        let text = format!("{before}hunter2{after}");
        match BrokerUrl::read(&text) {
            Err(error) => prop_assert!(!error.contains("hunter2"), "{}: {}", text, error),
            Ok(url) => {
                let known = broker(&url);
                let again = BrokerUrl::read(&shown(&known));
                prop_assert!(again.is_ok_and(|again| again.keeps_password_of(&known)), "{}", text);
            }
        }
    }

    #[test]
    fn what_is_encoded_is_read_as_it_was(
        user in "\\PC{1,20}", password in "\\PC{0,20}", vhost in "\\PC{1,20}", port in 1_u16..,
    ) {
        let coded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let text = format!(
            "amqp://{}:{}@h:{port}/{}", coded(&user), coded(&password), coded(&vhost)
        );
        let url = BrokerUrl::read(&text).unwrap();
        prop_assert_eq!((&url.user, &url.vhost, url.port), (&user, &vhost, port));
        prop_assert_eq!(url.password, Password::Given(password.into()));
    }
}
