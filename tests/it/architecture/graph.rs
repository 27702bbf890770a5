//! The references between the files of `src`, read from their `use` lines and paths. A name that a
//! module only hands on (`pub use`) counts as a reference to the file that defines it, and a
//! constant of a parent module does not count: so a `mod.rs` may re-export its children while they
//! use its constants.

use std::collections::{BTreeMap, BTreeSet};

use super::lex::{Token, lex};

type Path = Vec<String>;

/// One name that a `use` brings into a file.
struct Import {
    /// As written: may begin with `crate`, `self`, `super` or a name in scope.
    path: Path,
    /// The name it is bound to; `None` for a glob.
    name: Option<String>,
    public: bool,
    /// The inline modules around it.
    inside: Path,
}

/// What the graph keeps of one file.
struct File {
    name: String,
    module: Path,
    imports: Vec<Import>,
    /// The paths outside of `use` lines, each with the inline modules around it.
    paths: Vec<(Path, Path)>,
    /// The names that appear outside of `use` lines.
    mentions: BTreeSet<String>,
    /// The items that the file defines, on any level.
    items: BTreeSet<String>,
    /// Those of them that are constants.
    constants: BTreeSet<String>,
}

/// All files of the crate, and what refers to what.
pub(super) struct Graph {
    files: Vec<File>,
    modules: BTreeMap<Path, usize>,
}

impl Graph {
    /// Reads the files, each a name (`src/...`) and its text.
    pub(super) fn new(sources: &[(String, String)]) -> Self {
        let files = sources.iter().filter_map(|(name, text)| File::read(name, text, sources));
        let files: Vec<_> = files.collect();
        let modules =
            files.iter().enumerate().map(|(at, file)| (file.module.clone(), at)).collect();
        Self { files, modules }
    }

    /// For each file the absolute paths that it names, as written: re-exports are not followed.
    pub(super) fn named_paths(&self) -> BTreeMap<&str, BTreeSet<Path>> {
        let named = |file: &File| {
            let imports = file.imports.iter().map(|i| (&i.path, &i.inside));
            let paths = file.paths.iter().map(|(path, inside)| (path, inside));
            imports
                .chain(paths)
                .filter_map(|(path, inside)| self.absolute(file, path, inside))
                .collect()
        };
        self.files.iter().map(|file| (file.name.as_str(), named(file))).collect()
    }

    /// For each file the first segments of the paths that it names, of other crates too.
    pub(super) fn heads(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let mut heads = BTreeMap::<_, BTreeSet<_>>::new();
        for (file, paths) in self.named_paths() {
            heads.entry(file).or_default().extend(paths.iter().filter_map(|p| p.first()).cloned());
        }
        for file in &self.files {
            let imports = file.imports.iter().map(|import| &import.path);
            let outer = imports.chain(file.paths.iter().map(|(path, _)| path));
            heads.entry(&file.name).or_default().extend(outer.filter_map(|p| p.first()).cloned());
        }
        heads
    }

    /// The files that define what each file uses. Inline tests of a file do not count: they may use
    /// what is built on the file.
    pub(super) fn uses(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut uses = BTreeMap::new();
        for file in &self.files {
            let mut targets = BTreeSet::new();
            let imports = file.imports.iter().filter(|import| match &import.name {
                Some(name) => !import.public || file.mentions.contains(name),
                None => !import.public,
            });
            let imports = imports.map(|i| (&i.path, &i.inside, i.name.is_none()));
            let paths = file.paths.iter().map(|(path, inside)| (path, inside, false));
            for (path, inside, glob) in imports.chain(paths) {
                if inside.iter().any(|module| module == "tests") {
                    continue;
                }
                let Some(path) = self.absolute(file, path, inside) else { continue };
                let Some((at, whole)) = self.definition(&path, 0) else { continue };
                let target = &self.files[at];
                // A constant of a parent module needs nothing of that module's children.
                let constant = path.last().is_some_and(|name| target.constants.contains(name))
                    && file.module.starts_with(&target.module);
                // A file that defines nothing only hands names on.
                let hands_on = whole && target.items.is_empty();
                if (!whole || glob) && !constant && !hands_on {
                    targets.insert(target.name.as_str());
                }
            }
            targets.remove(file.name.as_str());
            uses.insert(file.name.as_str(), targets);
        }
        uses
    }

    /// A path from the root of the crate, or `None` for one that leads out of it.
    fn absolute(&self, file: &File, path: &[String], inside: &[String]) -> Option<Path> {
        let mut here = [&file.module[..], inside].concat();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                here.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    here.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let child = [&file.module[..], &path[..1]].concat();
                if !self.modules.contains_key(&child) {
                    let import = file.imports.iter().find(|i| {
                        i.name.as_deref() == Some(first)
                            && i.path.first().is_some_and(|s| s != first)
                    })?;
                    let mut target = self.absolute(file, &import.path, &import.inside)?;
                    target.extend_from_slice(&path[1..]);
                    return Some(target);
                }
                here.clone_from(&file.module);
            }
        }
        here.extend_from_slice(rest);
        Some(here)
    }

    /// The file that defines what an absolute path names, through re-exports, and whether the path
    /// names the whole module.
    fn definition(&self, path: &[String], depth: usize) -> Option<(usize, bool)> {
        let mut known = path.len();
        while !self.modules.contains_key(&path[..known]) {
            known = known.checked_sub(1)?;
        }
        let at = self.modules[&path[..known]];
        let Some(name) = path.get(known) else { return Some((at, true)) };
        let file = &self.files[at];
        if depth > 8 {
            return Some((at, false));
        }
        let follow = |import: &Import, rest: &[String]| {
            let mut target = self.absolute(file, &import.path, &import.inside)?;
            target.extend_from_slice(rest);
            self.definition(&target, depth + 1)
        };
        let outside = |import: &&Import| import.inside.is_empty();
        for import in file.imports.iter().filter(outside) {
            if import.name.as_deref() == Some(name) {
                return follow(import, &path[known + 1..]);
            }
        }
        if !file.items.contains(name) {
            for import in file.imports.iter().filter(outside).filter(|i| i.name.is_none()) {
                match follow(import, &path[known..]) {
                    Some((at, false)) if self.files[at].items.contains(name) => {
                        return Some((at, false));
                    }
                    _ => {}
                }
            }
        }
        Some((at, false))
    }
}

impl File {
    fn read(name: &str, text: &str, sources: &[(String, String)]) -> Option<Self> {
        let inner = name.strip_prefix("src/")?.strip_suffix(".rs")?;
        let parent =
            inner.strip_suffix("_tests").filter(|parent| declares_by_path(parent, sources));
        let tests = parent.map(|parent| format!("{parent}/tests"));
        let inner = tests.as_deref().unwrap_or(inner);
        let mut module: Path = inner.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| ["mod", "lib"].contains(&last.as_str())) {
            module.pop();
        }
        let mut file = File {
            name: name.to_owned(),
            module,
            imports: Vec::new(),
            paths: Vec::new(),
            mentions: BTreeSet::new(),
            items: BTreeSet::new(),
            constants: BTreeSet::new(),
        };
        file.scan(&lex(text).0);
        Some(file)
    }

    fn scan(&mut self, tokens: &[Token]) {
        const ITEMS: [&str; 8] =
            ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];
        let (mut inline, mut depth, mut at) = (Vec::<(String, usize)>::new(), 0, 0);
        while let Some(token) = tokens.get(at) {
            let inside = || inline.iter().map(|(name, _)| name.clone()).collect::<Path>();
            match token {
                Token::Symbol('{') => depth += 1,
                Token::Symbol('}') => {
                    depth -= 1;
                    inline.pop_if(|(_, opened)| *opened == depth);
                }
                Token::Name(word) if word == "use" && !tokens[at + 1].is('<') => {
                    let before = at.checked_sub(1).map(|before| &tokens[before]);
                    let public = before.is_some_and(|t| t.name() == Some("pub") || t.is(')'));
                    let mut found = Vec::new();
                    at = tree(tokens, at + 1, &[], &mut found);
                    let place = inside();
                    self.imports.extend(found.into_iter().map(|(path, name)| Import {
                        path,
                        name,
                        public,
                        inside: place.clone(),
                    }));
                    continue;
                }
                Token::Name(word)
                    if word == "mod" && tokens.get(at + 2).is_some_and(|t| t.is('{')) =>
                {
                    inline.push((tokens[at + 1].name().unwrap_or_default().to_owned(), depth));
                    depth += 1;
                    at += 2;
                }
                // A declaration of a child is no use of it.
                Token::Name(word) if word == "mod" => at += 1,
                Token::Name(word) => {
                    let next = tokens.get(at + 1);
                    if ITEMS.contains(&word.as_str()) {
                        self.items.extend(next.and_then(Token::name).map(str::to_owned));
                        if word == "const" {
                            self.constants.extend(next.and_then(Token::name).map(str::to_owned));
                        }
                    }
                    self.mentions.insert(word.clone());
                    let mut path = vec![word.clone()];
                    while let Some(next) = tokens.get(at + 2).and_then(Token::name)
                        && tokens[at + 1] == Token::PathSeparator
                    {
                        path.push(next.to_owned());
                        at += 2;
                    }
                    if path.len() > 1 {
                        self.paths.push((path, inside()));
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// Says whether the tests beside a file are its child module by a `#[path]`.
fn declares_by_path(parent: &str, sources: &[(String, String)]) -> bool {
    let (name, file) = (parent.rsplit('/').next().unwrap_or(parent), format!("src/{parent}.rs"));
    let attribute = format!("#[path = \"{name}_tests.rs\"]");
    sources.iter().any(|(source, text)| *source == file && text.contains(&attribute))
}

/// Reads one branch of a `use` tree that begins at `at`; answers where the next one begins.
fn tree(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<(Path, Option<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    let mut bound = None;
    loop {
        match tokens.get(at) {
            Some(Token::Name(word)) if word == "as" => {
                bound = tokens.get(at + 1).and_then(Token::name).map(str::to_owned);
                at += 2;
            }
            Some(Token::Name(word)) => {
                path.push(word.clone());
                at += 1;
            }
            Some(Token::PathSeparator) => at += 1,
            Some(Token::Symbol('*')) => {
                found.push((path, None));
                return at + 1;
            }
            Some(Token::Symbol('{')) => {
                at += 1;
                while tokens.get(at).is_some_and(|t| !t.is('}')) {
                    at = tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at).is_some_and(|t| t.is(',')));
                }
                return at + 1;
            }
            _ => {
                // `a::{self}` names `a`; `self::a` keeps its head.
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                if let Some(last) = path.last() {
                    let name = bound.unwrap_or_else(|| last.clone());
                    found.push((path, Some(name)));
                }
                return at;
            }
        }
    }
}

/// The circles of a graph: each set of nodes that reach one another, of at least two.
pub(super) fn circles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<BTreeSet<&'a str>> {
    let reach = |from: &'a str| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(node) = next.pop() {
            for &target in edges.get(node).into_iter().flatten() {
                if reached.insert(target) {
                    next.push(target);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<_, _> = edges.keys().map(|&node| (node, reach(node))).collect();
    let mut circles = BTreeSet::new();
    for (&node, targets) in &reached {
        let back = |&&target: &&&'a str| reached.get(target).is_some_and(|r| r.contains(node));
        let circle: BTreeSet<_> = targets.iter().filter(back).copied().collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}
