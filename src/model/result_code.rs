//! The code that an attempt came back with, whatever kind of receiver gave it. Executors make it,
//! `attempt` and the dead letters hold it, the API shows it. It decides nothing by itself.
//!
//! The number of a code is what the log, the journal and the store hold. An HTTP status is its own
//! number, so a result of HTTP has the same bytes as in versions that knew nothing but HTTP.
//!
//! ```text
//!   bits 63..32  kind: 0 HTTP, 1 AMQP, 2 process       bits 31..0  the code within the kind
//! ```

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The code of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResultCode {
    /// Nothing came back, or nothing was sent.
    #[default]
    None,
    /// The status of an HTTP response, 100 to 999.
    Http(u16),
    /// The reply code of an AMQP broker (AMQP 0-9-1, 1.2); 0 for an acknowledgement.
    Amqp(u16),
    /// The exit code of a worker's process.
    Exit(i32),
}

const HTTP: u32 = 0;
const AMQP: u32 = 1;
const EXIT: u32 = 2;

impl ResultCode {
    /// The code of an HTTP status; 0 means that none came back.
    pub fn http(status: u16) -> Self {
        if status == 0 { Self::None } else { Self::Http(status) }
    }

    /// The number under which it is stored; see [`ResultCode::from_number`].
    pub fn number(self) -> i64 {
        let (kind, code) = match self {
            Self::None => (HTTP, 0),
            Self::Http(status) => (HTTP, u32::from(status)),
            Self::Amqp(code) => (AMQP, u32::from(code)),
            Self::Exit(code) => (EXIT, code.cast_unsigned()),
        };
        i64::from(kind) << 32 | i64::from(code)
    }

    /// The code of a stored number; `None` for one that no kind has.
    pub fn from_number(number: i64) -> Option<Self> {
        // The low half is taken as it is: the cast drops the kind.
        let (kind, code) = (u32::try_from(number >> 32).ok()?, number as u32);
        match kind {
            HTTP => Some(Self::http(u16::try_from(code).ok()?)),
            AMQP => Some(Self::Amqp(u16::try_from(code).ok()?)),
            EXIT => Some(Self::Exit(code.cast_signed())),
            _ => None,
        }
    }

    /// The number that the API shows as `httpCode`: an HTTP status, or a broker's reply code; 0
    /// where there is neither.
    pub fn http_code(self) -> u16 {
        match self {
            Self::Http(code) | Self::Amqp(code) => code,
            Self::None | Self::Exit(_) => 0,
        }
    }

    /// The answer in words, where its code is no HTTP status: then `httpCode` says too little.
    pub fn answer(self) -> Option<String> {
        match self {
            Self::None | Self::Http(_) => None,
            Self::Amqp(_) | Self::Exit(_) => Some(self.to_string()),
        }
    }
}

impl std::fmt::Display for ResultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("no answer"),
            Self::Http(status) => write!(f, "HTTP {status}"),
            Self::Amqp(code) => write!(f, "AMQP {code}"),
            Self::Exit(code) => write!(f, "exit {code}"),
        }
    }
}

impl Serialize for ResultCode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Unsigned: older versions wrote an unsigned integer of 16 bits, which postcard writes in
        // the same bytes. No number is negative.
        to.serialize_u64(self.number().cast_unsigned())
    }
}

impl<'de> Deserialize<'de> for ResultCode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(from)?;
        let known = i64::try_from(number).ok().and_then(Self::from_number);
        let unknown = || D::Error::invalid_value(Unexpected::Unsigned(number), &"a result code");
        known.ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_from_its_number_and_its_bytes() {
        let codes = [
            ResultCode::None,
            ResultCode::Http(100),
            ResultCode::Http(999),
            ResultCode::Amqp(0),
            ResultCode::Amqp(312),
            ResultCode::Exit(0),
            ResultCode::Exit(137),
            ResultCode::Exit(-1),
            ResultCode::Exit(i32::MIN),
        ];
        for code in codes {
            assert_eq!(ResultCode::from_number(code.number()), Some(code));
            let bytes = postcard::to_stdvec(&code).unwrap();
            assert_eq!(postcard::from_bytes::<ResultCode>(&bytes).unwrap(), code);
        }
        for number in [-1, 1 << 16, 1 << 32 | 1 << 16, 3 << 32, i64::MAX, i64::MIN] {
            assert_eq!(ResultCode::from_number(number), None, "{number}");
        }
        let unknown = postcard::to_stdvec(&(3_u64 << 32)).unwrap();
        assert!(postcard::from_bytes::<ResultCode>(&unknown).is_err());
    }

    #[test]
    fn an_answer_is_told_in_words_where_it_is_no_http_status() {
        assert_eq!(ResultCode::Amqp(0).answer().as_deref(), Some("AMQP 0"));
        assert_eq!(ResultCode::Exit(-1).answer().as_deref(), Some("exit -1"));
        assert_eq!((ResultCode::Http(204).answer(), ResultCode::None.answer()), (None, None));
    }

    #[test]
    fn a_result_of_http_has_the_bytes_of_older_versions_and_other_kinds_are_refused_by_them() {
        for status in [0, 1, 127, 128, 200, 404, 503, 999, u16::MAX] {
            let (old, new) = (status, ResultCode::http(status));
            assert_eq!(postcard::to_stdvec(&old).unwrap(), postcard::to_stdvec(&new).unwrap());
            assert_eq!((new.number(), new.http_code()), (i64::from(status), status));
        }
        for other in [ResultCode::Amqp(0), ResultCode::Exit(0)] {
            let bytes = postcard::to_stdvec(&other).unwrap();
            assert!(postcard::from_bytes::<u16>(&bytes).is_err(), "{other:?}");
        }
    }
}
