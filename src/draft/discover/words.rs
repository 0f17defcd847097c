//! Names of tables and columns as the words that people made them of: `billingAddressId`, `billing_address_id` and
//! `BILLING_ADDRESS_ID` are the same three, and `addresses` are many of `address`.

/// The words of a name, in lower case.
pub(super) fn words(name: &str) -> Vec<String> {
    let camel = name.chars().any(char::is_lowercase) && name.chars().any(char::is_uppercase);
    let characters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for (place, &character) in characters.iter().enumerate() {
        if !character.is_alphanumeric() {
            open = false;
            continue;
        }
        let before = place.checked_sub(1).and_then(|before| characters.get(before)).copied().unwrap_or(' ');
        let after = characters.get(place + 1).copied().unwrap_or(' ');
        let begins = camel && character.is_uppercase() && (!before.is_uppercase() || after.is_lowercase());
        match words.last_mut() {
            Some(word) if open && !begins => word.extend(character.to_lowercase()),
            _ => words.push(character.to_lowercase().collect()),
        }
        open = true;
    }
    // A number at the end tells one of several: `elementid1`, `filters2`.
    if let Some(last) = words.last_mut() {
        let letters = last.trim_end_matches(|character: char| character.is_ascii_digit()).len();
        if letters > 0 && letters < last.len() {
            let number = last.split_off(letters);
            words.push(number);
        }
    }
    words
}

/// The words of a table's name, without a number at the end.
pub(super) fn table_words(name: &str) -> Vec<String> {
    let mut words = words(name);
    if words.len() > 1 && words.last().is_some_and(|last| last.chars().all(|character| character.is_ascii_digit())) {
        words.pop();
    }
    words
}

/// Words without what parts them.
pub(super) fn joined(words: &[String]) -> String {
    words.concat()
}

/// Plurals that no rule makes.
const IRREGULAR: [(&str, &str); 10] = [
    ("person", "people"),
    ("child", "children"),
    ("man", "men"),
    ("woman", "women"),
    ("foot", "feet"),
    ("mouse", "mice"),
    ("criterion", "criteria"),
    ("medium", "media"),
    ("datum", "data"),
    ("quiz", "quizzes"),
];

/// Endings of one and of many; the word before them is the same.
const ENDINGS: [(&str, &str); 8] =
    [("", "s"), ("", "es"), ("y", "ies"), ("f", "ves"), ("fe", "ves"), ("ex", "ices"), ("ix", "ices"), ("is", "es")];

/// Whether two nouns are the same, one or many of it.
pub(super) fn same_noun(one: &str, other: &str) -> bool {
    one == other || many_of(one, other) || many_of(other, one)
}

/// Whether two names have the same nouns, each one or many of it.
pub(super) fn same_nouns(some: &[String], others: &[String]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| same_noun(one, other))
}

/// Whether a name holds another and more: `order_lines` holds `orders`.
pub(super) fn holds(whole: &[String], part: &[String]) -> bool {
    whole.len() > part.len() && whole.windows(part.len().max(1)).any(|window| same_nouns(window, part))
}

fn many_of(one: &str, many: &str) -> bool {
    let regular = |(ending, plural): &(&str, &str)| {
        many.strip_suffix(plural)
            .zip(one.strip_suffix(ending))
            .is_some_and(|(left, right)| left == right && left.len() > 1)
    };
    // `mediatype` and `mediatypes`, `salesperson` and `salespeople`.
    let irregular = |(singular, plural): &(&str, &str)| {
        many.strip_suffix(plural).zip(one.strip_suffix(singular)).is_some_and(|(left, right)| left == right)
    };
    ENDINGS.iter().any(regular) || IRREGULAR.iter().any(irregular)
}

/// What ends the name of a column that refers to something.
const SUFFIXES: [&str; 16] =
    ["id", "ids", "uid", "uuid", "guid", "oid", "key", "code", "no", "nr", "num", "number", "ref", "fk", "sk", "pk"];
/// What begins it in some schemas.
const PREFIXES: [&str; 2] = ["id", "fk"];
/// Suffixes that are written without anything before them: `hostid`.
const GLUED: [&str; 4] = ["uuid", "guid", "uid", "id"];
/// Words that end like a suffix and are none.
const WHOLE: [&str; 14] = [
    "paid", "valid", "invalid", "grid", "void", "bid", "kid", "fluid", "aid", "said", "liquid", "android", "solid",
    "hybrid",
];

/// A column's name in parts: what it refers to, and the suffix that says that it refers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// The words before the suffix; empty for `id` alone.
    pub(super) stem: Vec<String>,
    /// The suffix; `None` where the name has none, so that it may refer to nothing.
    pub(super) suffix: Option<String>,
}

/// Takes a column's name apart.
pub(super) fn reference(name: &str) -> Reference {
    let mut stem = words(name);
    // `fk_user_id`, `idUser`.
    let mut suffix = None;
    if stem.len() > 1 && PREFIXES.contains(&stem[0].as_str()) {
        suffix = Some(stem.remove(0));
    }
    let Some(last) = stem.last().cloned() else { return Reference { stem, suffix } };
    if SUFFIXES.contains(&last.as_str()) {
        stem.pop();
        return Reference { stem, suffix: Some(last) };
    }
    for glued in GLUED {
        if let Some(rest) = last.strip_suffix(glued)
            && rest.len() > 1
            && !WHOLE.contains(&last.as_str())
        {
            stem.pop();
            stem.push(rest.to_owned());
            return Reference { stem, suffix: Some(glued.to_owned()) };
        }
    }
    Reference { stem, suffix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_words_in_every_style() {
        for name in
            ["billing_address_id", "billingAddressId", "BillingAddressID", "BILLING_ADDRESS_ID", "billing-address id"]
        {
            assert_eq!(words(name), ["billing", "address", "id"], "{name}");
        }
        assert_eq!(words("HTTPServerId"), ["http", "server", "id"]);
        assert_eq!(words("address2"), ["address", "2"]);
        assert_eq!(words("dhcp4_options"), ["dhcp4", "options"]);
        assert_eq!(table_words("feed_filters2"), ["feed", "filters"]);
        assert_eq!(words("__"), Vec::<String>::new());
    }

    #[test]
    fn one_and_many_are_the_same_noun() {
        for (one, many) in [
            ("user", "users"),
            ("address", "addresses"),
            ("status", "statuses"),
            ("category", "categories"),
            ("person", "people"),
            ("index", "indices"),
            ("analysis", "analyses"),
            ("house", "houses"),
            ("mediatype", "mediatypes"),
            ("salesperson", "salespeople"),
            ("series", "series"),
        ] {
            assert!(same_noun(one, many) && same_noun(many, one), "{one} {many}");
        }
        for (one, other) in [("user", "use"), ("a", "as"), ("news", "new_"), ("post", "posters")] {
            assert!(!same_noun(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_column_names_what_it_refers_to_before_its_suffix() {
        for (name, stem, suffix) in [
            ("user_id", vec!["user"], Some("id")),
            ("hostid", vec!["host"], Some("id")),
            ("proxy_hostid", vec!["proxy", "host"], Some("id")),
            ("owner_uid", vec!["owner"], Some("uid")),
            ("customerNumber", vec!["customer"], Some("number")),
            ("fk_user", vec!["user"], Some("fk")),
            ("idCliente", vec!["cliente"], Some("id")),
            ("id", vec![], Some("id")),
            ("paid", vec!["paid"], None),
            ("profile", vec!["profile"], None),
        ] {
            let found = reference(name);
            assert_eq!(
                (found.stem, found.suffix.as_deref()),
                (stem.iter().map(|word| (*word).to_owned()).collect(), suffix),
                "{name}"
            );
        }
    }
}
