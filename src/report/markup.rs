//! Markup in which only text can be written that is escaped: tags and names of attributes are constants of this program, everything
//! else goes through one function. So nothing that a cluster or a database holds can become markup.

use std::fmt::Write as _;

/// A piece of HTML or SVG that is being written.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

/// What an attribute holds.
pub(super) type Attribute<'a> = (&'static str, &'a str);

impl Markup {
    /// Markup that this program consists of.
    pub(super) fn constant(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        escape(text, &mut self.0);
        self
    }

    /// The beginning of an element.
    pub(super) fn open(&mut self, tag: &'static str, attributes: &[Attribute<'_>]) -> &mut Self {
        self.tag(tag, attributes);
        self.0.push('>');
        self
    }

    /// The end of an element.
    pub(super) fn close(&mut self, tag: &'static str) -> &mut Self {
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
        self
    }

    /// An element without content.
    pub(super) fn empty(&mut self, tag: &'static str, attributes: &[Attribute<'_>]) -> &mut Self {
        self.tag(tag, attributes);
        self.0.push_str("/>");
        self
    }

    /// An element that holds text.
    pub(super) fn element(&mut self, tag: &'static str, attributes: &[Attribute<'_>], text: &str) -> &mut Self {
        self.open(tag, attributes).text(text).close(tag)
    }

    /// The markup.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn tag(&mut self, tag: &'static str, attributes: &[Attribute<'_>]) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
    }
}

/// Text that stands for itself between tags and in quotes. Control characters have no place in a page, and those that turn the
/// direction of writing can make a name look like another one: both are shown by their numbers.
fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            '\n' | '\t' => into.push(character),
            turned if turned.is_control() || turns(turned) => {
                // Writing to a String cannot fail.
                let _ = write!(into, "[U+{:04X}]", u32::from(turned));
            }
            plain => into.push(plain),
        }
    }
}

/// Whether a character turns the direction of what follows.
const fn turns(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_never_become_markup() {
        let mut markup = Markup::default();
        markup.element("p", &[("title", "\"><script>alert(1)</script>")], "</p><img src=x onerror='alert(2)'>&amp;");
        assert_eq!(
            markup.into_text(),
            "<p title=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\">&lt;/p&gt;&lt;img src=x onerror=&#39;alert(2)&#39;&gt;&amp;amp;</p>"
        );
    }

    #[test]
    fn what_would_mislead_a_reader_is_shown_by_its_number() {
        let mut markup = Markup::default();
        markup.text("a\u{202e}b\u{0}\u{1b}c\nd");
        assert_eq!(markup.into_text(), "a[U+202E]b[U+0000][U+001B]c\nd");
    }
}
