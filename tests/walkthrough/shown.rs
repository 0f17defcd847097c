//! What a page says that a command shows, compared with what it shows: in words, without what differs from run to run.

use regex::Regex;

/// What differs from run to run, and what stands for it. In this order.
const UNSTABLE: [(&str, &str); 7] = [
    (r"sha256:[0-9a-f]{12,64}", "DIGEST"),
    (r"\b\d+\.\d+\.\d+[^\s,]*( \(\(Debian\)\))?", "VERSION"),
    (r"[\d,.]+ (bytes|[KMGT]iB)", "SIZE"),
    // Rows by the server's estimate: beside a size, or alone in brackets.
    (r"[\d,]+ rows\s+SIZE", "ROWS SIZE"),
    (r"\([\d,]+ rows\)", "(ROWS)"),
    (r"(< )?\b\d+ (ms|s|min|h)\b", "TIME"),
    (r"-[0-9a-f]{8}\b", "-NUMBER"),
];

/// The words of a text, with what differs from run to run taken out.
fn stable(text: &str) -> String {
    let replaced = UNSTABLE.iter().fold(text.to_owned(), |text, (pattern, stands)| {
        let pattern = Regex::new(pattern).expect("a pattern of this file");
        pattern.replace_all(&text, *stands).into_owned()
    });
    replaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether something shows just this.
///
/// # Errors
/// The first words that differ.
pub(crate) fn whole(page: &str, shown: &str) -> Result<(), String> {
    let (page, shown) = (stable(page), stable(shown));
    let (said, seen): (Vec<&str>, Vec<&str>) = (page.split(' ').collect(), shown.split(' ').collect());
    let same = said.iter().zip(&seen).take_while(|(one, other)| one == other).count();
    if same == said.len() && same == seen.len() {
        return Ok(());
    }
    let around = |words: &[&str]| words[same.saturating_sub(8).min(words.len())..words.len().min(same + 12)].join(" ");
    Err(format!("the page says ... {}\nit shows     ... {}", around(&said), around(&seen)))
}

/// Whether something shows each paragraph of this, in this order.
///
/// # Errors
/// The first paragraph that is not there.
pub(crate) fn among(page: &str, shown: &str) -> Result<(), String> {
    let shown = stable(shown);
    let mut rest = shown.as_str();
    for paragraph in page.split("\n\n") {
        let wanted = stable(paragraph);
        let Some(at) = rest.find(&wanted) else {
            return Err(format!("the page says, and it does not show: {wanted}\nit shows: {rest}"));
        };
        rest = &rest[at + wanted.len()..];
    }
    Ok(())
}

#[test]
fn what_differs_from_run_to_run_is_not_compared() {
    let one = "Plan sha256:7d35f1aab97d on 9.7.4-2 ((Debian)), about < 1 s\n  002 Batched   29,459 rows    1.5 MiB    < 1 s  orphans: 1,200";
    let other =
        "Plan sha256:0035f1aab97d on 8.4.1, about 12 min\n  002 Batched   300 rows   16.0 KiB    3 s  orphans: 1,200";
    assert_eq!(whole(one, other), Ok(()));
    let wrong = whole(one, &other.replace("1,200", "1,201")).unwrap_err();
    assert!(wrong.contains("1,200\nit shows") && wrong.ends_with("orphans: 1,201"), "{wrong}");
    assert!(whole(one, &format!("{other} more")).is_err() && whole(&format!("{one} more"), other).is_err());
}

#[test]
fn paragraphs_are_found_in_their_order() {
    let shown = "a b\n\nsomething else\n\n c  d\ne f\n";
    assert_eq!(among("a b\n\nc d\n   e f\n", shown), Ok(()));
    assert!(among("c d\ne f\n\na b\n", shown).is_err());
    assert!(among("a b\n\nc d\n\ng\n", shown).unwrap_err().contains("does not show: g"));
}
