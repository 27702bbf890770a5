//! JSON as people read it: with lines and spaces between its values. Names keep their order and
//! numbers their digits, since it works on the text. Pure.

/// JSON with a line for each member down to so many levels. What is deeper stays on its line.
pub(crate) fn pretty(json: &str, levels: usize) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    let break_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    // Within the texts of JSON there are none.
    let mut chars = json.chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')).peekable();
    while let Some(c) = chars.next() {
        if is_quoted {
            out.push(c);
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => is_quoted = false,
                _ => {}
            }
            continue;
        }
        match c {
            ' ' => {}
            '{' | '[' => {
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {}
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                    continue;
                }
                depth += 1;
                if depth <= levels {
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                let is_broken = depth <= levels;
                depth = depth.saturating_sub(1);
                if is_broken {
                    break_line(&mut out, depth);
                }
                out.push(c);
            }
            ',' if depth <= levels => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ',' => out.push_str(", "),
            ':' => out.push_str(": "),
            _ => {
                is_quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_keeps_its_order_and_numbers() {
        let json = "{\"b\":{\"type\":\"uint\",\"range\":[0,1e2]},\n \"a{,\\\"\" : 1.50, \"c\":{ },\"d\":[]}";
        let shown = "{\n  \"b\": {\"type\": \"uint\", \"range\": [0, 1e2]},\n  \"a{,\\\"\": 1.50,\n  \"c\": {},\n  \"d\": []\n}";
        assert_eq!(pretty(json, 1), shown);
        assert_eq!(pretty("[{\"a\":1}]", 9), "[\n  {\n    \"a\": 1\n  }\n]");
        assert_eq!(pretty("{\"a\":1}", 0), "{\"a\": 1}");
        assert_eq!(pretty("7", 3), "7");
    }
}
