//! The pages of the documentation, and the parts of one: headings, paragraphs under them, fenced blocks.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page in Markdown.
pub(crate) struct Page {
    /// From the repository's root.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A fenced block.
pub(crate) struct Block {
    /// Path of its page.
    pub(crate) page: String,
    /// Line of the fence.
    pub(crate) line: usize,
    /// The first word behind the fence.
    pub(crate) language: String,
    /// What follows it.
    pub(crate) note: String,
    /// Without the indentation of the fence.
    pub(crate) text: String,
}

impl Block {
    /// Page and line, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}

/// One page.
pub(crate) fn page(path: &str) -> Page {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Page { path: path.to_owned(), text }
}

/// Every page that people read: those at the root, in docs, and beside what is deployed.
pub(crate) fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    for folder in [".", "docs", "deploy", "charts"] {
        below(&root().join(folder), folder != ".", &mut found);
    }
    found.sort();
    let relative = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.iter().map(|path| page(&relative(path))).collect()
}

fn below(folder: &Path, deep: bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        // Without the `./` of the root.
        let path: PathBuf = entry.path().components().collect();
        if entry.file_type().unwrap().is_dir() {
            // What npm installs for the sample application is not ours.
            if deep && !path.ends_with("node_modules") {
                below(&path, deep, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

impl Page {
    /// The fenced blocks.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, Block)> = None;
        for (number, line) in self.text.lines().enumerate() {
            let bare = line.trim_start();
            match (&mut open, bare.strip_prefix("```")) {
                (None, Some(about)) => {
                    let (language, note) = about.split_once(' ').unwrap_or((about, ""));
                    let block = Block {
                        page: self.path.clone(),
                        line: number + 1,
                        language: language.to_owned(),
                        note: note.trim().to_owned(),
                        text: String::new(),
                    };
                    open = Some((line.len() - bare.len(), block));
                }
                (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
                (Some((indentation, block)), None) => {
                    let own = line.len() - bare.len();
                    block.text.push_str(&line[own.min(*indentation)..]);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", self.path);
        blocks
    }

    /// The text outside of fenced blocks, line by line with its number.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut fenced = false;
        let mut lines = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                lines.push((number + 1, line));
            }
        }
        lines
    }
}
