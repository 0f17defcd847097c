//! Bars, and text that fits the width it is given.

pub use crate::plan::render::counted;

/// Cells of a bar.
const CELLS: usize = 20;

/// `██████░░░░`: so much of so much. Full only when all is done.
#[must_use]
pub fn bar(done: u64, total: u64) -> String {
    let cells =
        (done.min(total) * CELLS as u64).checked_div(total).map_or(0, |cells| usize::try_from(cells).unwrap_or(CELLS));
    format!("{}{}", "█".repeat(cells), "░".repeat(CELLS - cells))
}

/// A bar of work whose share is not known.
#[must_use]
pub fn unknown() -> String {
    "▒".repeat(CELLS)
}

/// Text broken at spaces into lines of at most so many characters; a longer word stands alone.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// One line, cut with an ellipsis where it is longer than so many characters.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(width) {
        Some(_) => format!("{}…", text.chars().take(width.saturating_sub(1)).collect::<String>().trim_end()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_when_all_is_done() {
        assert_eq!(bar(0, 3), "░".repeat(20));
        assert_eq!(bar(999, 1000), format!("{}░", "█".repeat(19)));
        assert_eq!(bar(3, 3), "█".repeat(20));
        assert_eq!(bar(5, 3), "█".repeat(20));
        assert_eq!(bar(1, 0), "░".repeat(20));
    }

    #[test]
    fn text_is_broken_at_spaces_and_cut_with_an_ellipsis() {
        assert_eq!(wrapped("one two  three\nfour", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 9), Vec::<String>::new());
        assert_eq!(cut("one two three", 8), "one two…");
        assert_eq!(cut("üüü", 3), "üüü");
        assert_eq!((counted(1, "key"), counted(1_234, "key")), ("1 key".to_owned(), "1,234 keys".to_owned()));
        assert_eq!(counted(2, "index"), "2 indexes");
    }
}
