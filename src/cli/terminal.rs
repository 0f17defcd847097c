//! Where the plugin's text goes: colours and redrawing on a terminal, plain lines in a pipe, and questions to a person.

use std::env;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::failure::Failure;

/// Colours and weights, or nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// Without colours.
    pub const PLAIN: Self = Self { colour: false };
    /// With colours.
    pub const COLOUR: Self = Self { colour: true };

    /// Colours where standard output is a terminal that has them and nobody asked for none (<https://no-color.org>).
    #[must_use]
    pub fn of_standard_output() -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: is_terminal() && !unwanted && !dumb }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Good.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Waits for somebody.
    #[must_use]
    pub fn waiting(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Bad.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// At work.
    #[must_use]
    pub fn working(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// Of less interest.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A heading.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }
}

/// Whether standard output is a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Columns and rows of the terminal.
#[must_use]
pub fn size() -> Option<(usize, usize)> {
    terminal_size::terminal_size().map(|(columns, rows)| (usize::from(columns.0), usize::from(rows.0)))
}

/// Writes to standard output.
///
/// # Errors
/// When it cannot be written to. That nobody reads any more, as after `| head`, ends the program without a word.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::unavailable("")),
        Err(error) => Err(Failure::unavailable(format!("standard output cannot be written to: {error}"))),
    }
}

/// Asks a person to agree. Only the word that is asked for counts.
///
/// # Errors
/// When the person does not, or when nobody can be asked and `--yes` was not given.
pub fn confirm(question: &str, word: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "{} Nobody can be asked here, because standard input is no terminal: nothing was done; add --yes to agree beforehand",
            question.trim()
        )));
    }
    eprint!("{question} Type {word} to go on: ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| {
        Failure::usage(format!("the answer could not be read ({error}): nothing was done; try again"))
    })?;
    if answer.trim() == word {
        return Ok(());
    }
    Err(Failure::no(format!("the answer was not {word}: nothing was done; run the command again once you are sure")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is_and_colours_end() {
        assert_eq!(Style::PLAIN.good("done"), "done");
        assert_eq!(Style::COLOUR.bad("failed"), "\x1b[31mfailed\x1b[0m");
        assert_eq!(Style::COLOUR.bad(""), "");
    }
}
