//! A secret as it may be found: as it is, in hexadecimal, in base64, percent-encoded, and as the
//! bytes that its text stands for.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Fewer bytes than this are no evidence.
const SHORTEST: usize = 12;

/// A secret, with all its forms.
pub(super) struct Needle {
    /// What it is, for the message of a failure.
    pub(super) name: String,
    forms: Vec<Vec<u8>>,
}

/// All secrets, as a table that is searched in one pass.
pub(super) struct Needles {
    all: Vec<Needle>,
    /// Whether a form begins with these two bytes.
    begins: Vec<bool>,
}

impl Needle {
    /// A secret that is this text.
    pub(super) fn new(name: &str, text: &str) -> Self {
        let mut forms = forms(text.as_bytes());
        // Keys are often kept as the bytes that they stand for.
        let encoded = text.strip_prefix("whsec_").unwrap_or(text);
        if let Some(bytes) = unhex(encoded) {
            forms.extend(self::forms(&bytes));
        }
        let base64 = GeneralPurpose::new(&STANDARD, NO_PAD).decode(encoded.trim_end_matches('='));
        if let Ok(bytes) = base64 {
            forms.extend(self::forms(&bytes));
        }
        forms.sort();
        forms.dedup();
        Self { name: name.to_owned(), forms }
    }
}

impl Needles {
    /// The table of these secrets.
    pub(super) fn new(all: Vec<Needle>) -> Self {
        let mut begins = vec![false; 65_536];
        for form in all.iter().flat_map(|needle| &needle.forms) {
            begins[pair(form)] = true;
        }
        Self { all, begins }
    }

    /// The names of the secrets that are in this text, in whatever form.
    pub(super) fn found(&self, text: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for at in 0..text.len().saturating_sub(1) {
            if !self.begins[pair(&text[at..])] {
                continue;
            }
            let is_here =
                |needle: &&Needle| needle.forms.iter().any(|form| text[at..].starts_with(form));
            found.extend(self.all.iter().filter(is_here).map(|needle| needle.name.as_str()));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The number of the first two bytes.
fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    assert!(bytes.len() >= SHORTEST, "a secret of {} bytes is found by chance", bytes.len());
    let hex = |upper: bool| {
        let digits = bytes
            .iter()
            .map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        digits.collect::<String>().into_bytes()
    };
    let percent: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let mut all = vec![bytes.to_vec(), hex(false), hex(true), percent.into_bytes()];
    for alphabet in [&STANDARD, &URL_SAFE] {
        let engine = GeneralPurpose::new(alphabet, NO_PAD);
        // Where it stands in a longer text, the digits of three bytes begin at one of three places.
        for shift in 0..3 {
            let mut longer = vec![0; shift];
            longer.extend_from_slice(bytes);
            let text = engine.encode(&longer).into_bytes();
            // Digits at the ends have bits of the bytes beside it.
            let (first, last) = (usize::from(shift > 0) * (shift + 1), longer.len() * 8 / 6);
            all.push(text[first..last].to_vec());
        }
    }
    all
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let digits = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    digits.collect::<Option<Vec<u8>>>().filter(|bytes| bytes.len() >= SHORTEST)
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "Xk3/9q+ZrT7vLw1=PqYs";
    let other = Needle::new("other", "another secret of no importance");
    let needles = Needles::new(vec![Needle::new("it", secret), other]);
    let standard = GeneralPurpose::new(&STANDARD, NO_PAD);
    let url = GeneralPurpose::new(&URL_SAFE, NO_PAD);
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let lower = scheduler0::model::audit_chain::hex(secret.as_bytes());
    let mut texts = vec![
        format!("before{secret}after"),
        format!("x{lower}"),
        format!("x{}y", lower.to_uppercase()),
        format!("?password={percent}&x=y"),
    ];
    for before in ["", "a", "ab", "abc", "user:"] {
        for after in ["", "z", "zz"] {
            let whole = format!("{before}{secret}{after}");
            texts.push(format!("Basic {}", standard.encode(&whole)));
            texts.push(format!("Basic {}", url.encode(&whole)));
        }
    }
    for text in texts {
        assert_eq!(needles.found(text.as_bytes()), ["it"], "{text}");
    }
    assert!(needles.found(&secret.as_bytes()[1..]).is_empty());

    // The bytes behind a text of hexadecimal digits, and behind a signing secret.
    let key = "00112233445566778899aabbccddeeff";
    let needles = Needles::new(vec![Needle::new("key", key)]);
    let bytes: Vec<u8> = (0..16).map(|n| n * 0x11).collect();
    assert_eq!(needles.found(&[b"..", &bytes[..], b".."].concat()), ["key"]);
    let signing = format!("whsec_{}", standard.encode(&bytes));
    assert_eq!(Needles::new(vec![Needle::new("s", &signing)]).found(&bytes), ["s"]);
}
