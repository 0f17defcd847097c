//! SQL text as the `mysql` client and the server read it: where strings, quoted names and comments begin and end, and so where one
//! statement ends and the next begins. Pure, and strict: what has no end is an error with its place, never a guess.
//!
//! The rules are those of a session without ANSI_QUOTES and NO_BACKSLASH_ESCAPES; whoever runs the statements sees to that.

/// A place in a text, both counted from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Character of the line.
    pub column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

/// Why a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct SqlTextError {
    /// Where.
    pub place: Place,
    /// What is wrong, and the way out.
    pub message: String,
}

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// From its first word to its last, comments between them included; without the delimiter.
    pub text: String,
    /// Where it begins.
    pub place: Place,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word or a number.
    Word,
    /// A name in backticks.
    Name,
    /// A string in single or double quotes.
    Text,
    /// Any other character.
    Symbol,
    /// `/*+ ... */`: an optimizer hint.
    Hint,
    /// `/*! ... */`: a comment that the server executes.
    Executable,
}

/// One token; whitespace and ordinary comments are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    /// As written, quotes included.
    pub(crate) text: &'a str,
    /// Where it begins, in bytes.
    pub(crate) start: usize,
}

impl Token<'_> {
    /// Whether it is this word, in upper or lower case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this character.
    pub(crate) fn is_symbol(&self, symbol: char) -> bool {
        self.kind == Kind::Symbol && self.text.starts_with(symbol)
    }

    /// The name that it stands for, without its backticks; `None` for what can be no name.
    pub(crate) fn name(&self) -> Option<String> {
        match self.kind {
            Kind::Word => Some(self.text.to_owned()),
            Kind::Name => {
                let inner = self.text.strip_prefix('`')?.strip_suffix('`')?;
                Some(inner.replace("``", "`"))
            }
            _ => None,
        }
    }

    /// Where it ends, in bytes.
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The place of a byte.
pub(crate) fn place_of(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// Places of bytes that come in order: each line is counted once, however many statements a text has.
struct Places<'a> {
    text: &'a str,
    at: usize,
    /// Lines that end before `at`.
    lines: usize,
}

impl Places<'_> {
    fn of(&mut self, at: usize) -> Place {
        let between = self.text.get(self.at..at).unwrap_or_default();
        self.lines += between.matches('\n').count();
        self.at = at;
        let before = self.text.get(..at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place { line: self.lines + 1, column: before[line_start..].chars().count() + 1 }
    }
}

/// The tokens of a text.
///
/// # Errors
/// A string, name or comment without an end.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SqlTextError> {
    let mut reader = Reader { text, at: 0 };
    let mut found = Vec::new();
    while let Some(piece) = reader.next("")? {
        found.extend(piece);
    }
    Ok(found)
}

/// Splits a text into its statements. The delimiter is `;` until a line `DELIMITER ...` changes it, as in the client.
///
/// # Errors
/// A string, name or comment without an end; a delimiter that is none.
pub fn split(text: &str) -> Result<Vec<Statement>, SqlTextError> {
    let mut reader = Reader { text, at: 0 };
    let mut delimiter = ";";
    let mut statements = Vec::new();
    // Bytes from the first to the last token of the statement at hand.
    let mut extent: Option<(usize, usize)> = None;
    let mut places = Places { text, at: 0, lines: 0 };
    loop {
        if reader.rest().starts_with(delimiter) {
            reader.at += delimiter.len();
            statements.extend(statement(&mut places, extent.take()));
            continue;
        }
        let start = reader.at;
        match reader.next(delimiter)? {
            None => break,
            Some(None) => {}
            Some(Some(token)) if extent.is_none() && token.is("DELIMITER") && reader.at_gap() => {
                delimiter = reader.delimiter(start)?;
            }
            Some(Some(token)) => extent = Some((extent.map_or(token.start, |(first, _)| first), token.end())),
        }
    }
    statements.extend(statement(&mut places, extent));
    Ok(statements)
}

fn statement(places: &mut Places<'_>, extent: Option<(usize, usize)>) -> Option<Statement> {
    let (start, end) = extent?;
    Some(Statement { text: places.text.get(start..end)?.to_owned(), place: places.of(start) })
}

/// What separates words: the server takes every other character outside ASCII for a letter.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$' | '@') || !character.is_ascii()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, at: usize, message: impl Into<String>) -> SqlTextError {
        SqlTextError { place: place_of(self.text, at), message: message.into() }
    }

    /// Whether a word has ended here.
    fn at_gap(&self) -> bool {
        self.rest().chars().next().is_none_or(is_space)
    }

    /// The next token; `Some(None)` for whitespace and comments, `None` at the end. A word ends where the delimiter begins.
    fn next(&mut self, delimiter: &str) -> Result<Option<Option<Token<'a>>>, SqlTextError> {
        let (rest, start) = (self.rest(), self.at);
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let after_dashes = rest.strip_prefix("--").map(|after| after.chars().next());
        let line_comment = first == '#'
            || after_dashes.is_some_and(|next| next.is_none_or(|next| is_space(next) || next.is_control()));
        let kind = if is_space(first) {
            self.at += first.len_utf8();
            return Ok(Some(None));
        } else if line_comment {
            self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
            return Ok(Some(None));
        } else if rest.starts_with("/*!") || rest.starts_with("/*M!") {
            self.at += 3;
            self.executable(start)?;
            Kind::Executable
        } else if rest.starts_with("/*") {
            let end = rest.get(2..).and_then(|inner| inner.find("*/"));
            let end = end.ok_or_else(|| self.error(start, "the comment /* has no end: add */"))?;
            self.at += end + 4;
            if !rest.starts_with("/*+") {
                return Ok(Some(None));
            }
            Kind::Hint
        } else if matches!(first, '\'' | '"' | '`') {
            self.at += self.quoted(rest, first)?;
            if first == '`' { Kind::Name } else { Kind::Text }
        } else if is_word(first) {
            let ends = |(at, character): &(usize, char)| {
                !is_word(*character) || (!delimiter.is_empty() && rest[*at..].starts_with(delimiter))
            };
            self.at += rest.char_indices().skip(1).find(ends).map_or(rest.len(), |(at, _)| at);
            Kind::Word
        } else {
            self.at += first.len_utf8();
            Kind::Symbol
        };
        Ok(Some(Some(Token { kind, text: &self.text[start..self.at], start })))
    }

    /// Reads an executable comment to its end; strings and comments inside do not end it.
    fn executable(&mut self, start: usize) -> Result<(), SqlTextError> {
        loop {
            if self.rest().starts_with("*/") {
                self.at += 2;
                return Ok(());
            }
            if self.next("*/")?.is_none() {
                return Err(self.error(start, "the comment /*! has no end: add */"));
            }
        }
    }

    /// The length of what stands in quotes at the beginning of `rest`, with them.
    fn quoted(&self, rest: &str, quote: char) -> Result<usize, SqlTextError> {
        let mut characters = rest.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            if character == '\\' && quote != '`' {
                characters.next();
            } else if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
                return Ok(at + 1);
            }
        }
        Err(self.error(self.at, format!("what begins with {quote} has no end: add {quote}")))
    }

    /// The delimiter that the rest of the line names.
    fn delimiter(&mut self, start: usize) -> Result<&'a str, SqlTextError> {
        let line = self.rest().lines().next().unwrap_or_default();
        self.at += line.len();
        let named = line.trim_matches(is_space);
        // Letters would end a statement inside of a name, quotes and comment signs inside of a string.
        let usable = |character: char| matches!(character, ';' | '/' | '$' | '|' | '%' | '!' | '^' | '~' | '&' | '@');
        if named.is_empty() || !named.chars().all(usable) {
            return Err(self.error(
                start,
                format!("{named:?} cannot be a delimiter: write one of signs such as DELIMITER //, DELIMITER $$ or DELIMITER ;"),
            ));
        }
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        split(text).unwrap().into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn statements_end_at_delimiters_outside_of_strings_names_and_comments() {
        for (text, expected) in [
            ("a; b ;c", vec!["a", "b", "c"]),
            (";; ;a;;", vec!["a"]),
            ("", vec![]),
            ("-- only; a comment", vec![]),
            ("SELECT 'a;b', \"c;d\", `e;f`; g", vec!["SELECT 'a;b', \"c;d\", `e;f`", "g"]),
            ("SELECT 'it''s; one'; b", vec!["SELECT 'it''s; one'", "b"]),
            (r"SELECT 'a\';b'; c", vec![r"SELECT 'a\';b'", "c"]),
            (r"SELECT 'a\\'; c", vec![r"SELECT 'a\\'", "c"]),
            // A backslash is a letter of a name.
            (r"SELECT `a\`; c", vec![r"SELECT `a\`", "c"]),
            ("SELECT `a``;b`; c", vec!["SELECT `a``;b`", "c"]),
            ("a -- x; y\n b; c # d; e\n f", vec!["a -- x; y\n b", "c # d; e\n f"]),
            ("a /* ; */ b; c", vec!["a /* ; */ b", "c"]),
            // Without whitespace after it, -- is twice a minus.
            ("SELECT 5--2;b", vec!["SELECT 5--2", "b"]),
            ("/*!50000 a; 'x*/;' /* y */ ; b */; c", vec!["/*!50000 a; 'x*/;' /* y */ ; b */", "c"]),
            ("SELECT /*+ NO_ICP(t) */ 1; b", vec!["SELECT /*+ NO_ICP(t) */ 1", "b"]),
            ("-- why\n a; -- trailing", vec!["a"]),
        ] {
            assert_eq!(texts(text), expected, "{text}");
        }
    }

    #[test]
    fn a_statement_that_stands_in_a_comment_too_is_found_where_it_is_run() {
        let found = split("#*\n*;``").unwrap();
        assert_eq!(found[0].text, "*");
        assert_eq!(found[0].place.to_string(), "line 2, column 1");
    }

    #[test]
    fn the_delimiter_of_the_client_is_obeyed() {
        assert_eq!(texts("DELIMITER //\na; b//\nc//\ndelimiter ;\nd; e"), ["a; b", "c", "d", "e"]);
        assert_eq!(texts("DELIMITER $$\nEND$$ x$$"), ["END", "x"]);
        assert_eq!(texts("SELECT delimiter FROM t; delimiter_x"), ["SELECT delimiter FROM t", "delimiter_x"]);
        for text in ["DELIMITER", "DELIMITER go", "a;\nDELIMITER \\", "DELIMITER '", "DELIMITER --", "DELIMITER ; x"] {
            assert!(split(text).unwrap_err().message.contains("cannot be a delimiter"), "{text}");
        }
    }

    #[test]
    fn an_error_names_line_and_column() {
        for (text, place) in [
            ("a;\n  'b", "line 2, column 3"),
            ("é `b", "line 1, column 3"),
            ("a\n\n/* b", "line 3, column 1"),
            ("/*! a '*/' ", "line 1, column 1"),
            ("a;\nDELIMITER x", "line 2, column 1"),
            ("\"a\\\"", "line 1, column 1"),
        ] {
            assert!(split(text).unwrap_err().to_string().starts_with(&format!("{place}: ")), "{text}");
        }
        let found = split("a;\n\n  é; b").unwrap();
        assert_eq!(
            found.iter().map(|each| each.place.to_string()).collect::<Vec<_>>()[1..],
            ["line 3, column 3".to_owned(), "line 3, column 6".to_owned()]
        );
    }

    /// Pieces that a statement can be made of.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z]{1,6}",
            "[0-9]{1,3}",
            r#"'([^'\\]|''|\\.|;|--|/\*|`|"){0,8}'"#,
            r#""([^"\\]|""|\\.|;|'){0,8}""#,
            "`([^`]|``|;){1,8}`",
            "/\\* [a-z;'`]{0,6} \\*/",
            "/\\*!50000 [a-z;]{0,6} '\\*/' \\*/",
            "-- [a-z;'\"]{0,6}\n",
            "# [a-z;`]{0,6}\n",
            Just("=".to_owned()),
            Just("(".to_owned()),
            Just(",".to_owned()),
        ]
    }

    /// Where a place lies, in bytes: the same text may stand in a comment before.
    fn offset_of(text: &str, place: Place) -> usize {
        let line: usize = text.split_inclusive('\n').take(place.line - 1).map(str::len).sum();
        line + text[line..].chars().take(place.column - 1).map(char::len_utf8).sum::<usize>()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn what_was_joined_is_split_into_the_same(statements in prop::collection::vec(prop::collection::vec(piece(), 1..6), 0..6), other in prop::sample::select(vec![";", "//", "$$", "|"])) {
            // A word at the beginning and the end, so that none is a comment alone.
            let wanted: Vec<String> = statements.iter().map(|pieces| format!("x {} y", pieces.join(" "))).collect();
            let text: String = wanted.iter().map(|statement| format!("{statement}\n{other} ")).collect();
            let text = if other == ";" { text } else { format!("DELIMITER {other}\n{text}") };
            prop_assert_eq!(texts(&text), wanted);
        }

        #[test]
        fn whatever_the_text_nothing_is_run_that_it_does_not_contain(text in r#"[;'"`\\/*!#\-a \n$D]{0,40}"#) {
            if let Ok(found) = split(&text) {
                // Statements stand in the text one after the other, and between them stands nothing but delimiters and comments.
                let mut from = 0;
                for statement in &found {
                    let at = offset_of(&text, statement.place);
                    prop_assert!(text[at..].starts_with(&statement.text), "{:?} is not in {:?}", statement.text, &text[at..]);
                    let between = &text[from..at];
                    prop_assert!(tokens(between).unwrap().iter().all(|token| token.is_symbol(';')), "{between:?}");
                    from = at + statement.text.len();
                }
                // Split again, each is one.
                // (Two dashes become a comment where nothing follows them.)
                let plain = |text: &str| !text.contains(';') && !text.ends_with("--");
                for statement in found.iter().filter(|statement| plain(&statement.text)) {
                    prop_assert_eq!(texts(&statement.text), vec![statement.text.clone()]);
                }
            }
        }

        #[test]
        fn any_text_at_all_is_read_or_refused(text in "\\PC{0,60}") {
            if let Ok(found) = tokens(&text) {
                for token in found {
                    prop_assert_eq!(&text[token.start..token.end()], token.text);
                }
            }
            let _ = split(&text);
        }
    }
}
