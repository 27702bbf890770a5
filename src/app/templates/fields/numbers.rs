//! Numbers as text: which of them 64 bits hold, and which are whole. No number is ever rounded.

use super::ordered::outside_strings;

/// The first number that 64 bits cannot hold: a whole one beyond them, or one that is not finite.
pub(crate) fn unfit_number(json: &str) -> Option<&str> {
    let mut rest = outside_strings(json).map(|(place, _)| place).peekable();
    while let Some(begin) = rest.next() {
        let of_number = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
        // The place is that of a character, and a number has bytes of ASCII only.
        let first = json.as_bytes()[begin];
        if !(first == b'-' || first.is_ascii_digit()) {
            continue;
        }
        let length = json.as_bytes()[begin..].iter().take_while(|b| of_number(**b)).count();
        let number = &json[begin..begin + length];
        if !fits(number) {
            return Some(number);
        }
        while rest.next_if(|place| *place < begin + length).is_some() {}
    }
    None
}

/// Says whether a number fits 64 bits.
pub(crate) fn fits(number: &str) -> bool {
    if number.contains(['.', 'e', 'E']) {
        return number.parse::<f64>().is_ok_and(f64::is_finite);
    }
    number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
}

/// A whole number of any size; `None` for another text. 5.0 is 5.
pub(crate) fn whole(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let all = |part: &str, such: fn(&u8) -> bool| part.as_bytes().iter().all(such);
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let has_exponent = text.contains(['e', 'E']);
    if !has_exponent
        && !integer.is_empty()
        && all(integer, u8::is_ascii_digit)
        && !fraction.is_empty()
    {
        if !all(fraction, |b| *b == b'0') {
            return None;
        }
        // One that is too long is beyond every bound.
        return Some(sign * integer.parse::<i128>().unwrap_or(i128::MAX));
    }
    // One with an exponent, as far as it is exact.
    let number = text.parse::<f64>().ok().filter(|_| has_exponent)?;
    let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    exact.then_some(number as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_in_every_form_of_json() {
        for (text, number) in [
            ("1e5", Some(100_000)),
            ("1.0e5", Some(100_000)),
            ("1.5e1", Some(15)),
            ("1.0E7", Some(10_000_000)),
            ("-1.20E+2", Some(-120)),
            ("5.00", Some(5)),
            ("18446744073709551616", Some(1 << 64)),
            ("1.5", None),
            ("1.5e0", None),
            ("1e300", None),
            ("\"5\"", None),
            ("e5", None),
        ] {
            assert_eq!(whole(text), number, "{text}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_found_wherever_they_are() {
        for (json, unfit) in [
            ("18446744073709551615", None),
            ("18446744073709551616", Some("18446744073709551616")),
            ("[-9223372036854775808,0.1,1e300]", None),
            ("{\"a\":[-9223372036854775809]}", Some("-9223372036854775809")),
            ("{\"99999999999999999999\":\"99999999999999999999\"}", None),
            ("[1,1e999]", Some("1e999")),
        ] {
            assert_eq!(unfit_number(json), unfit, "{json}");
        }
    }
}
