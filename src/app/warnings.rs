//! Warnings beside the result of a request that was carried out. Whoever reads or checks a request
//! adds them; the API shows them.

/// The warnings of one request: the names of unknown fields, and sentences about values that may
/// not mean what the client intended. The first few are kept, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    unknown: Vec<String>,
    said: Vec<String>,
}

impl Warnings {
    const MOST: usize = 8;
    /// The longest name that is shown, in characters.
    const LONGEST_NAME: usize = 40;
    /// The longest sentence, in characters.
    const LONGEST: usize = 300;

    /// Notes the name of an unknown field.
    pub fn unknown_field(&mut self, name: &str) {
        let shown: String = name
            .chars()
            .take(Self::LONGEST_NAME)
            .map(|c| if c.is_ascii_graphic() { c } else { '?' })
            .collect();
        add(&mut self.unknown, shown);
    }

    /// Adds a sentence. It is in lower case, names the field, and says what the value means.
    pub fn say(&mut self, sentence: &str) {
        let plain = sentence.chars().take(Self::LONGEST);
        add(&mut self.said, plain.map(|c| if c.is_control() { ' ' } else { c }).collect());
    }

    /// Adds the warnings of another part of the same request.
    pub fn merge(&mut self, other: Self) {
        other.unknown.into_iter().for_each(|name| add(&mut self.unknown, name));
        other.said.into_iter().for_each(|sentence| add(&mut self.said, sentence));
    }

    /// The first unknown name, for routes that refuse such names.
    pub fn first_unknown(&self) -> Option<&str> {
        self.unknown.first().map(String::as_str)
    }

    /// The warnings as texts for the client.
    pub fn lines(&self) -> Vec<String> {
        let unknown = (!self.unknown.is_empty())
            .then(|| format!("unknown fields were ignored: {}", self.unknown.join(", ")));
        unknown.into_iter().chain(self.said.iter().cloned()).collect()
    }
}

fn add(list: &mut Vec<String>, text: String) {
    if list.len() < Warnings::MOST && !list.contains(&text) {
        list.push(text);
    }
}
