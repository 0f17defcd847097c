//! Finding one's way in the words of a statement of the user's own. What the server would read otherwise than it looks, or what belongs
//! to the session, is refused at once.

use super::identifier::{Identifier, TableName};
use super::sql_text::{Kind, Token, place_of, tokens};

/// A statement's tokens, and the schema of names without one.
pub(crate) struct Look<'a> {
    pub(crate) text: &'a str,
    pub(crate) tokens: Vec<Token<'a>>,
    schema: &'a Identifier,
}

impl<'a> Look<'a> {
    /// Looks at a statement.
    ///
    /// # Errors
    /// What could hide something from this look, or is the session's.
    pub(crate) fn new(text: &'a str, schema: &'a Identifier) -> Result<Self, String> {
        let tokens = tokens(text).map_err(|error| error.to_string())?;
        for token in &tokens {
            let hidden = |what: &str| Err(format!("{what} at its {}", place_of(text, token.start)));
            match token.kind {
                Kind::Executable => {
                    return hidden(
                        "a comment of the form /*! ... */, which the server executes, is refused: write it plainly",
                    );
                }
                Kind::Hint if token.text.to_uppercase().contains("SET_VAR") => {
                    return hidden("the hint SET_VAR is refused, since session settings are Holdfast's: leave it out");
                }
                Kind::Symbol if token.is_symbol(';') => {
                    return hidden("a second statement is refused: end each with the delimiter");
                }
                Kind::Symbol if token.is_symbol('\\') => {
                    return hidden(
                        "a backslash outside of a string (\\g, \\G) is the client's: end a statement with ;",
                    );
                }
                Kind::Word if ["GET_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS"].iter().any(|word| token.is(word)) => {
                    return hidden(&format!(
                        "{} is refused, since Holdfast works under such locks: leave it out",
                        token.text
                    ));
                }
                Kind::Word if token.text.starts_with('@') => {
                    return hidden(&format!(
                        "the variable {} is refused, since no session lasts: write its value",
                        token.text
                    ));
                }
                _ => {}
            }
        }
        Ok(Self { text, tokens, schema })
    }

    /// Whether the token is this word.
    pub(crate) fn is(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(word))
    }

    /// Whether these words stand one after the other.
    pub(crate) fn are(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(offset, word)| self.is(at + offset, word))
    }

    /// Whether the token is this character.
    pub(crate) fn symbol(&self, at: usize, symbol: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_symbol(symbol))
    }

    /// The name that stands there.
    pub(crate) fn identifier(&self, at: usize, what: &str) -> Result<Identifier, String> {
        let name = self.tokens.get(at).and_then(Token::name).ok_or_else(|| format!("the name of {what} is missing"))?;
        Identifier::new(name).map_err(|error| error.to_string())
    }

    /// A table's name, and where the text goes on.
    pub(crate) fn table(&self, at: usize) -> Result<(TableName, usize), String> {
        let first = self.identifier(at, "the table")?;
        if !self.symbol(at + 1, '.') {
            return Ok((TableName::new(self.schema.clone(), first), at + 1));
        }
        Ok((TableName::new(first, self.identifier(at + 2, "the table")?), at + 3))
    }

    /// The table that is changed: only those of the migrated schema are.
    pub(crate) fn own_table(&self, at: usize) -> Result<(TableName, usize), String> {
        let (table, next) = self.table(at)?;
        if table.schema.as_str().to_lowercase() != self.schema.as_str().to_lowercase() {
            return Err(format!("{table} lies in another schema than {}: write a migration for that one", self.schema));
        }
        Ok((table, next))
    }

    /// Ranges of tokens between commas outside of parentheses.
    pub(crate) fn parts(&self, from: usize, to: usize) -> Vec<(usize, usize)> {
        let (mut parts, mut start, mut depth) = (Vec::new(), from, 0_usize);
        for at in from..to {
            if self.symbol(at, '(') {
                depth += 1;
            } else if self.symbol(at, ')') {
                depth = depth.saturating_sub(1);
            } else if depth == 0 && self.symbol(at, ',') {
                parts.push((start, at));
                start = at + 1;
            }
        }
        parts.push((start, to));
        parts
    }

    /// Places of a word outside of parentheses.
    pub(crate) fn outside(&self, from: usize, to: usize, word: &str) -> Vec<usize> {
        let mut depth = 0_usize;
        let mut found = Vec::new();
        for at in from..to {
            if self.symbol(at, '(') {
                depth += 1;
            } else if self.symbol(at, ')') {
                depth = depth.saturating_sub(1);
            } else if depth == 0 && self.is(at, word) {
                found.push(at);
            }
        }
        found
    }
}
