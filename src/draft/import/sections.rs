//! Files that hold the way forward and the way back, parted by a comment, as several migration tools write them.

/// The way forward of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forward<'a> {
    pub(super) text: &'a str,
    /// Line and text of the comment that begins the way back.
    pub(super) back: Option<(usize, &'a str)>,
}

/// Cuts a text where its way back begins. Tools that write it first are not known.
pub(super) fn forward(text: &str) -> Forward<'_> {
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_way_back(line) {
            return Forward { text: &text[..at], back: Some((number + 1, line.trim())) };
        }
        at += line.len();
    }
    Forward { text, back: None }
}

/// goose, sql-migrate, dbmate, MyBatis, Play.
fn is_way_back(line: &str) -> bool {
    let Some(comment) = ["--", "#"].iter().find_map(|sign| line.trim().strip_prefix(sign)) else { return false };
    let comment = comment.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    ["+goose down", "+migrate down", "+micrate down", "migrate:down", "//@undo"]
        .iter()
        .any(|marker| comment.starts_with(marker))
        || comment == "!downs"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_way_back() {
        for marker in
            ["-- +goose Down", "-- +migrate Down", "-- migrate:down transaction:false", "--//@UNDO", "# !Downs"]
        {
            let text = format!("-- +goose Up\nALTER TABLE a ADD b INT;\n{marker}\nALTER TABLE a DROP b;\n");
            let found = forward(&text);
            assert_eq!((found.text, found.back), ("-- +goose Up\nALTER TABLE a ADD b INT;\n", Some((3, marker))));
        }
        let text = "SELECT 'migrate:down';\n-- scroll down\n";
        assert_eq!(forward(text), Forward { text, back: None });
    }
}
