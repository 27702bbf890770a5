//! Rust source cut into tokens and comments, just well enough to read paths and comments from it.
//! `graph` and the checks use it; it does not know what an item or an expression is.

/// An identifier, `::`, or one other character of code. Literals and lifetimes are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Name(String),
    PathSeparator,
    Symbol(char),
}

impl Token {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Token::Name(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is(&self, symbol: char) -> bool {
        *self == Token::Symbol(symbol)
    }
}

/// One line of a comment.
pub(super) struct Comment {
    pub(super) line: usize,
    /// The column, in characters, behind the comment's last one.
    pub(super) width: usize,
    pub(super) text: String,
}

/// The tokens and the comments of a source text.
pub(super) fn lex(source: &str) -> (Vec<Token>, Vec<Comment>) {
    let mut lexer = Lexer { text: source.chars().collect(), at: 0, line: 1, line_start: 0 };
    let (mut tokens, mut comments) = (Vec::new(), Vec::new());
    while let Some(c) = lexer.peek(0) {
        match (c, lexer.peek(1)) {
            ('/', Some('/')) => comments.push(lexer.line_comment()),
            ('/', Some('*')) => lexer.block_comment(&mut comments),
            ('"', _) => lexer.string(),
            ('\'', _) => lexer.quote(),
            (':', Some(':')) => {
                lexer.advance(2);
                tokens.push(Token::PathSeparator);
            }
            _ if c.is_alphabetic() || c == '_' => {
                let name = lexer.word();
                match (name.as_str(), lexer.peek(0)) {
                    ("r" | "br" | "cr", Some('"' | '#')) => {
                        if let Some(raw) = lexer.raw_string() {
                            tokens.push(Token::Name(raw));
                        }
                    }
                    ("b" | "c", Some('"')) => lexer.string(),
                    ("b", Some('\'')) => lexer.quote(),
                    _ => tokens.push(Token::Name(name)),
                }
            }
            _ if c.is_ascii_digit() => drop(lexer.word()),
            _ => {
                lexer.advance(1);
                if !c.is_whitespace() {
                    tokens.push(Token::Symbol(c));
                }
            }
        }
    }
    (tokens, comments)
}

struct Lexer {
    text: Vec<char>,
    at: usize,
    line: usize,
    line_start: usize,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn advance(&mut self, count: usize) {
        for _ in 0..count {
            if self.peek(0) == Some('\n') {
                self.line += 1;
                self.line_start = self.at + 1;
            }
            self.at += 1;
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.advance(1);
        }
        self.text[start..self.at].iter().collect()
    }

    /// The rest of this line, as a comment.
    fn line_comment(&mut self) -> Comment {
        let start = self.at;
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.advance(1);
        }
        let text = self.text[start..self.at].iter().collect();
        Comment { line: self.line, width: self.at - self.line_start, text }
    }

    fn block_comment(&mut self, comments: &mut Vec<Comment>) {
        let mut depth = 0;
        let mut start = self.at;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.advance(2);
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.advance(2);
                }
                (Some('\n') | None, _) => {
                    let text = self.text[start..self.at].iter().collect();
                    let width = self.at - self.line_start;
                    comments.push(Comment { line: self.line, width, text });
                    if self.peek(0).is_none() {
                        return;
                    }
                    self.advance(1);
                    start = self.at;
                }
                _ => self.advance(1),
            }
            if depth == 0 {
                let text = self.text[start..self.at].iter().collect();
                let width = self.at - self.line_start;
                comments.push(Comment { line: self.line, width, text });
                return;
            }
        }
    }

    /// A string from its opening quote to behind its closing one.
    fn string(&mut self) {
        self.advance(1);
        while let Some(c) = self.peek(0) {
            self.advance(if c == '\\' { 2 } else { 1 });
            if c == '"' {
                return;
            }
        }
    }

    /// A raw string behind its `r`. Answers the name where it is a raw identifier instead.
    fn raw_string(&mut self) -> Option<String> {
        let mut fence = 0;
        while self.peek(fence) == Some('#') {
            fence += 1;
        }
        if self.peek(fence) != Some('"') {
            self.advance(fence);
            return Some(self.word());
        }
        self.advance(fence + 1);
        while self.peek(0).is_some() {
            let closes = self.peek(0) == Some('"');
            if closes && (1..=fence).all(|ahead| self.peek(ahead) == Some('#')) {
                self.advance(fence + 1);
                return None;
            }
            self.advance(1);
        }
        None
    }

    /// A character literal, or a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some('\\') {
            self.advance(3);
            while self.peek(0).is_some_and(|c| c != '\'') {
                self.advance(1);
            }
            self.advance(1);
        } else if self.peek(2) == Some('\'') {
            self.advance(3);
        } else {
            self.advance(1);
            self.word();
        }
    }
}
