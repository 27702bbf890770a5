//! Tests of secrets: round trips, tampering, separation of purposes, file modes.

use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};

use super::keys::{NONCE, mac};
use super::*;
use crate::config::{self, Config};
use crate::model::target::Sealed;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn keys() -> Keys {
    Keys::new(HEX, "node", "pass").unwrap()
}

#[test]
fn hmac_agrees_with_a_published_vector() {
    // RFC 4231, test case 2 has a 4-byte key; zero padding makes it the same HMAC.
    let mut key = [0; 32];
    key[..4].copy_from_slice(b"Jefe");
    let sum = mac(&key, &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(
        hex::encode(sum),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}

#[test]
fn a_secret_is_verified_and_a_wrong_one_is_not() {
    let (api_key, secret) = new_api_key();
    assert!(api_key.starts_with("s0_") && api_key.len() == 25 && secret.len() == 43);
    let url_safe = |t: &str| t.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    assert!(url_safe(&api_key) && url_safe(&secret));
    let verifier = keys().verifier(&secret);
    assert!(keys().verify(&secret, &verifier));
    assert!(!keys().verify(&secret[1..], &verifier));
    assert!(!keys().verify(&secret, &verifier[1..]));
    assert!(!keys().verify(&secret, &[]));
    let other = Keys::new(&HEX.replace("00", "ff"), "node", "pass").unwrap();
    assert!(!other.verify(&secret, &verifier), "another SecretKey opens nothing");
    assert!(!verifier.windows(8).any(|w| secret.as_bytes().windows(8).any(|s| s == w)));
}

#[test]
fn the_operator_and_the_peer_token_depend_on_every_part() {
    assert!(keys().is_operator("node", "pass"));
    for (user, password) in [("node", "pas"), ("nod", "epass"), ("", ""), ("node", "")] {
        assert!(!keys().is_operator(user, password));
    }
    let token = keys().peer_token();
    assert_eq!(token, keys().peer_token());
    assert_ne!(token, Keys::new(HEX, "node", "other").unwrap().peer_token());
    assert_ne!(token, Keys::new(HEX, "nodep", "ass").unwrap().peer_token());
    assert_ne!(token, Keys::new(&HEX.replace("00", "ff"), "node", "pass").unwrap().peer_token());
}

#[test]
fn a_wrong_secret_key_is_refused_without_being_shown() {
    for text in ["", "abc", &HEX[1..], &HEX.replace("00", "zz"), "ä".repeat(64).as_str()] {
        let message = Keys::new(text, "node", "pass").unwrap_err().to_string();
        assert!(message.contains("SecretKey") && message.contains("64 hex"), "{message}");
        assert!(text.is_empty() || !message.contains(&format!("{text} ")), "{message}");
    }
}

#[test]
fn what_is_configured_comes_before_the_file_and_what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let load = |env: &[(&str, &str)]| {
        let env = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let work_dir = folder.path().to_owned();
        let options = config::LoadOptions { env, work_dir, ..Default::default() };
        Keys::load(&Config::load(&options).unwrap(), false)
    };
    let message = load(&[("SCHEDULER0_SECRET_KEY", HEX)]).unwrap_err().to_string();
    assert!(message.contains("AuthUsername is not set"), "{message}");
    assert!(message.contains("SCHEDULER0_AUTH_USERNAME"), "{message}");
    assert!(message.contains(&folder.path().display().to_string()), "{message}");
    let file = SecretFile::generate();
    file.write(folder.path(), false).unwrap();
    let keys = load(&[("SCHEDULER0_AUTH_USERNAME", "env")]).unwrap();
    assert_eq!((keys.username(), keys.password()), ("env", file.auth_password.as_str()));
    assert_eq!(*keys.secret_key_hex(), file.secret_key);
}

#[test]
fn nothing_prints_a_secret() {
    let file = SecretFile::generate();
    let keys = Keys::new(&file.secret_key, "node", &file.auth_password).unwrap();
    let shown = format!("{keys:?} {file:?}");
    assert!(!shown.contains(&file.secret_key) && !shown.contains(&file.auth_password));
}

#[test]
fn the_file_is_private_whole_and_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let first = SecretFile::generate();
    let path = first.write(folder.path(), false).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let second = SecretFile::generate();
    assert!(matches!(second.write(folder.path(), false), Err(Error::Exists(_))));
    let places = [folder.path().join("nowhere"), folder.path().to_owned()];
    assert_eq!(SecretFile::find(&places).unwrap().unwrap().1, first);
    second.write(folder.path(), true).unwrap();
    assert_eq!(SecretFile::find(&places).unwrap().unwrap().1, second);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary stays");
}

#[test]
fn a_file_that_others_may_read_is_refused_as_ssh_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = SecretFile::generate().write(folder.path(), false).unwrap();
    let work_dir = folder.path().to_owned();
    let config = Config::load(&config::LoadOptions { work_dir, ..Default::default() }).unwrap();
    for (mode, refused) in [
        (0o600, false),
        (0o400, false),
        (0o640, true),
        (0o604, true),
        (0o644, true),
        (0o620, true),
        (0o601, true),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match Keys::load(&config, false) {
            Ok(_) => assert!(!refused, "{mode:o}"),
            Err(e) => {
                let message = e.to_string();
                assert!(refused, "{mode:o}: {message}");
                let mode = format!("{mode:04o}");
                for part in [mode.as_str(), "chmod 600", "--insecure"] {
                    assert!(message.contains(part), "{part}: {message}");
                }
            }
        }
        assert!(Keys::load(&config, true).is_ok(), "{mode:o}");
    }
}

#[test]
fn what_can_be_guessed_is_refused_unless_it_is_said_to_be_weak() {
    let of = |key: &str, password: &str| Keys::new(key, "node", password).unwrap();
    let short_in_characters = "\u{e4}".repeat(8);
    for (password, weak, refused) in [
        ("0123456789abcdef", false, false),
        ("0123456789abcde", false, true),
        ("0123456789abcde", true, false),
        (&short_in_characters, false, true),
        ("", true, false),
    ] {
        let checked = of(HEX, password).check_strength(weak);
        assert_eq!(checked.is_err(), refused, "{password} {weak}");
        if let Err(e) = checked {
            let message = e.to_string();
            let length = password.chars().count().to_string();
            for part in ["AuthPassword", "16 or more", "--weak", &length] {
                assert!(message.contains(part), "{part}: {message}");
            }
            assert!(!message.contains(password), "{message}");
        }
    }
    for byte in ["00", "ff", "5a"] {
        let keys = of(&byte.repeat(32), "0123456789abcdef");
        let message = keys.check_strength(false).unwrap_err().to_string();
        assert!(message.contains("SecretKey") && message.contains("openssl"), "{message}");
        assert!(keys.check_strength(true).is_ok());
    }
    let made = SecretFile::generate();
    of(&made.secret_key, &made.auth_password).check_strength(false).unwrap();
}

#[test]
fn a_damaged_file_is_named_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), r#"{"secretKey": {"a": "s3cr3t"}}"#).unwrap();
    let message = SecretFile::find(&[folder.path().to_owned()]).unwrap_err().to_string();
    assert!(message.contains(FILE) && message.contains("secretKey"), "{message}");
    assert!(!message.contains("s3cr3t"), "{message}");
}

#[test]
fn a_sealed_secret_is_the_same_text_each_time_and_opens_for_its_purpose_only() {
    let seal = |plain, what| keys().seal(plain, what);
    for plain in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "", "p\u{e4}ss\nword"] {
        let sealed = seal(plain, purpose::SIGNING);
        assert_eq!(sealed, seal(plain, purpose::SIGNING));
        assert_eq!(*keys().open(&sealed, purpose::SIGNING).unwrap(), plain);
        assert_ne!(sealed, seal(plain, purpose::TOKEN));
        assert!(keys().open(&sealed, purpose::TOKEN).is_err());
        assert!(plain.is_empty() || !sealed.0.contains(plain));
    }
    let (one, two) = (seal("secret1", purpose::TOKEN), seal("secret2", purpose::TOKEN));
    let nonce = |sealed: &Sealed| BASE64.decode(&sealed.0).unwrap()[1..=NONCE].to_vec();
    assert_ne!(nonce(&one), nonce(&two), "no nonce meets a second text");
}

#[test]
fn signing_secrets_have_the_form_of_standard_webhooks() {
    let (key, body) = ([1; 32], [2; 32]);
    let made = keys().new_webhook_secret_for(&key, &body);
    let (one, two) = (new_webhook_secret(), new_webhook_secret());
    assert_ne!(one, two);
    for secret in [&made, &one, &two] {
        let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(bytes.len(), 32);
    }
}

#[test]
fn a_signing_secret_of_a_request_is_new_each_time_and_known_as_its_own() {
    let (key, body) = ([1; 32], [2; 32]);
    let made = keys().new_webhook_secret_for(&key, &body);
    assert_ne!(made, keys().new_webhook_secret_for(&key, &body), "a request repeated later");
    assert!(keys().is_webhook_secret_for(&key, &body, &made));
    let other = Keys::new(&HEX.replace("00", "ff"), "node", "pass").unwrap();
    assert!(!other.is_webhook_secret_for(&key, &body, &made), "without the SecretKey it is random");
    for (key, body) in [(&body, &key), (&key, &key), (&body, &body)] {
        assert!(!keys().is_webhook_secret_for(key, body, &made));
    }
    let random = new_webhook_secret();
    for text in [random.as_str(), "", "whsec_", "whsec_aGk=", "plain", &made[..made.len() - 4]] {
        assert!(!keys().is_webhook_secret_for(&key, &body, text), "{text}");
    }
}

#[test]
fn the_secret_of_a_request_follows_from_it_and_from_the_api_key() {
    let (key, body) = ([1; 32], [2; 32]);
    let secret = keys().api_secret_for(&key, &body, "s0_a");
    assert_eq!(secret, keys().api_secret_for(&key, &body, "s0_a"), "a request repeated");
    assert_eq!(secret.len(), new_api_key().1.len());
    for other in [
        keys().api_secret_for(&key, &body, "s0_b"),
        keys().api_secret_for(&body, &key, "s0_a"),
        Keys::new(&HEX.replace("00", "ff"), "node", "pass")
            .unwrap()
            .api_secret_for(&key, &body, "s0_a"),
    ] {
        assert_ne!(secret, other);
    }
}

#[test]
fn what_cannot_be_opened_says_what_to_do_and_not_what_it_was() {
    let sealed = keys().seal("hunter2", purpose::PASSWORD);
    let other = Keys::new(&HEX.replace("00", "ff"), "node", "pass").unwrap();
    let message = other.open(&sealed, purpose::PASSWORD).unwrap_err().to_string();
    assert!(message.contains("the password cannot be opened"), "{message}");
    assert!(message.contains("SecretKey") && message.contains("set it anew"), "{message}");
    assert!(!message.contains("hunter2") && !message.contains(&sealed.0), "{message}");
    assert_ne!(other.seal("hunter2", purpose::PASSWORD), sealed);

    let bytes = BASE64.decode(&sealed.0).unwrap();
    for i in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[i] ^= 1;
        let open = |text: &[u8]| keys().open(&Sealed(BASE64.encode(text)), purpose::PASSWORD);
        assert!(open(&changed).is_err(), "byte {i}");
        assert!(open(&bytes[..i]).is_err(), "cut at {i}");
    }
    assert!(keys().open(&Sealed("not base64!".to_owned()), purpose::PASSWORD).is_err());
}

#[test]
fn what_basic_authentication_cannot_carry_is_refused_at_the_start() {
    for (username, password, part) in [
        ("a:b", "pass", "AuthUsername must have no colon"),
        ("a\nb", "pass", "AuthUsername"),
        ("node", "pa\u{0}ss", "AuthPassword"),
    ] {
        let message = Keys::new(HEX, username, password).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("Basic"), "{message}");
    }
    assert!(Keys::new(HEX, "node", "pa:ss").is_ok(), "a password may have one");
}

#[test]
fn the_length_of_a_sealed_secret_is_known_without_its_key() {
    let keys = Keys::new(&"7c".repeat(32), "node", "pass").unwrap();
    for length in [0, 1, 2, 3, 16, 31, 4_096] {
        let sealed = keys.seal(&"x".repeat(length), purpose::HEADER);
        assert_eq!(super::length(&sealed), length);
    }
}
