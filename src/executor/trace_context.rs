//! New W3C trace contexts, one for each thing that is sent. Kinds of executor call it. Random, else
//! pure.

/// Appends a new W3C trace context; not sampled, as nothing is recorded here.
pub(super) fn push_traceparent(text: &mut String) {
    // All zeros would be invalid.
    let (trace, span) = (rand::random::<u128>().max(1), rand::random::<u64>().max(1));
    text.push_str("00-");
    text.extend(hex(&trace.to_be_bytes()));
    text.push('-');
    text.extend(hex(&span.to_be_bytes()));
    text.push_str("-00");
}

/// The hex digits of bytes. `format!` takes many times as long.
fn hex(bytes: &[u8]) -> impl Iterator<Item = char> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_has_the_form_of_the_recommendation_and_is_new_each_time() {
        let mut text = "before".to_owned();
        push_traceparent(&mut text);
        let parts: Vec<_> = text["before".len()..].split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
        assert_eq!((parts[0], parts[3]), ("00", "00"));
        let is_hex = |part: &&str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        assert!(parts.iter().all(is_hex), "{text}");
        let mut other = "before".to_owned();
        push_traceparent(&mut other);
        assert_ne!(text, other);
    }
}
