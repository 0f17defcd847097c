//! Shell blocks as simple commands: enough of the language for what stands in a page, and an error for the rest.

/// A simple command: its words without quotes.
pub(crate) type Words = Vec<String>;

/// The commands of a block, those in `$(...)` included.
///
/// # Errors
/// What of the block is beyond this reader.
pub(crate) fn commands(text: &str) -> Result<Vec<Words>, String> {
    let mut found = Vec::new();
    let mut reader = Reader { rest: text.chars().collect(), at: 0 };
    reader.list(None, &mut found)?;
    Ok(found.into_iter().filter_map(without_assignments).collect())
}

/// Without variables that are set before the command; one that only sets some is none.
fn without_assignments(words: Words) -> Option<Words> {
    let assigns = |word: &&String| {
        let name = word.split_once('=').map(|(name, _)| name.strip_suffix('+').unwrap_or(name));
        name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    let rest: Words = words.iter().skip_while(assigns).cloned().collect();
    (!rest.is_empty()).then_some(rest)
}

struct Reader {
    rest: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += 1;
        next
    }

    /// Commands up to the end, or to the character that closes a substitution.
    fn list(&mut self, end: Option<char>, found: &mut Vec<Words>) -> Result<(), String> {
        let mut words = Vec::new();
        loop {
            match self.peek() {
                None if end.is_none() => break,
                None => return Err("a substitution is not closed".to_owned()),
                Some(c) if Some(c) == end => {
                    self.at += 1;
                    break;
                }
                Some(' ' | '\t') => self.at += 1,
                Some('\\') if self.rest.get(self.at + 1) == Some(&'\n') => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                Some('\n' | ';' | '&' | '|') => {
                    self.at += 1;
                    found.extend((!words.is_empty()).then(|| std::mem::take(&mut words)));
                }
                Some('>') => {
                    self.at += 1;
                    while matches!(self.peek(), Some('>' | '&' | ' ')) {
                        self.at += 1;
                    }
                    self.word(found, end)?;
                }
                Some('<') if self.rest.get(self.at + 1) == Some(&'(') => {
                    self.at += 2;
                    self.list(Some(')'), found)?;
                    words.push("/dev/fd/63".to_owned());
                }
                Some('<') => return Err("a redirection of the input".to_owned()),
                Some(_) => words.push(self.word(found, end)?),
            }
        }
        found.extend((!words.is_empty()).then_some(words));
        Ok(())
    }

    /// A word, quotes taken off; what is substituted in it is left as a placeholder.
    fn word(&mut self, found: &mut Vec<Words>, end: Option<char>) -> Result<String, String> {
        let mut word = String::new();
        let mut quote: Option<char> = None;
        loop {
            match (quote, self.peek()) {
                (Some(quote), None) => return Err(format!("a quote {quote} is not closed")),
                (None, None) => break,
                (None, Some(c)) if matches!(c, ' ' | '\t' | '\n' | ';' | '&' | '|' | '>') || Some(c) == end => break,
                (None, Some(c @ ('\'' | '"'))) => (quote, self.at) = (Some(c), self.at + 1),
                (Some(open), Some(c)) if c == open => (quote, self.at) = (None, self.at + 1),
                (None | Some('"'), Some('$')) if self.rest.get(self.at + 1) == Some(&'(') => {
                    self.at += 2;
                    self.list(Some(')'), found)?;
                    word.push_str("VALUE");
                }
                (None | Some('"'), Some('\\')) => {
                    self.at += 1;
                    word.extend(self.next());
                }
                (_, Some(c)) => {
                    self.at += 1;
                    word.push(c);
                }
            }
        }
        Ok(word)
    }
}

#[test]
fn words_commands_and_substitutions_are_told_apart() {
    let text = "# why\nPLAN=$(kubectl get \"smig/NAME\" -o jsonpath='{.a b}')   # gets it\nA=1 b 'c d' \"$(e f)\" | g > /dev/null && h \\\n  i; j\n";
    let expected: &[&[&str]] = &[
        &["kubectl", "get", "smig/NAME", "-o", "jsonpath={.a b}"],
        &["e", "f"],
        &["b", "c d", "VALUE"],
        &["g"],
        &["h", "i"],
        &["j"],
    ];
    assert_eq!(commands(text).unwrap(), expected);
    assert!(commands("a 'b").is_err() && commands("a $(b").is_err());
}
