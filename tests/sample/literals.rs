//! Random literals in SQL's notation.

use std::fmt::Write;

use fastrand::Rng;

/// Words of the texts, as SQL writes them: quotes, backslashes and letters of several bytes among them.
const WORDS: &[&str] = &[
    "airway",
    "assess",
    "adrenaline",
    "0.3 mg",
    "épinéphrine",
    "dose",
    "patient''s",
    "pressure",
    "repeat",
    "every",
    "5 min",
    "contact",
    "base",
    "hospital",
    "if",
    "pulse",
    "absent",
    "naïve",
    "C:\\\\logs",
    "100 %",
    "transport",
    "心電図",
    "monitor",
    "oxygen",
    "\\\"stat\\\"",
    "IV",
    "access",
    "then",
    "reassess",
    "✓",
    "airway\\nopen",
    "within",
    "10 minutes",
    "pediatric",
    "weight-based",
    "glucose",
];
/// Writing to a String cannot fail.
pub(crate) fn append(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(arguments);
}

/// A text of half so many words up to so many.
pub(crate) fn words(rng: &mut Rng, most: usize, out: &mut String) {
    out.push('\'');
    for place in 0..=rng.usize(most / 2..most) {
        if place > 0 {
            out.push(' ');
        }
        out.push_str(WORDS[rng.usize(0..WORDS.len())]);
    }
    out.push('\'');
}

/// Hexadecimal digits, without quotes.
pub(crate) fn hex(rng: &mut Rng, digits: usize, out: &mut String) {
    for start in (0..digits).step_by(16) {
        let text = format!("{:016x}", rng.u64(..));
        out.push_str(&text[..16.min(digits - start)]);
    }
}

/// A day, ended by this quote.
pub(crate) fn date(rng: &mut Rng, out: &mut String, quote: &str) {
    let (year, month, day) = (rng.u32(2019..2026), rng.u32(1..=12), rng.u32(1..=28));
    append(out, format_args!("'{year}-{month:02}-{day:02}{quote}"));
}

/// A moment with so many digits of a second, from 04:00 on: no time zone's clock change falls there.
pub(crate) fn moment(rng: &mut Rng, digits: usize, out: &mut String) {
    date(rng, out, " ");
    let (hour, minute, second) = (rng.u32(4..24), rng.u32(0..60), rng.u32(0..60));
    append(out, format_args!("{hour:02}:{minute:02}:{second:02}"));
    if digits > 0 {
        let fraction = rng.u64(0..10_u64.pow(u32::try_from(digits).unwrap_or(6)));
        append(out, format_args!(".{fraction:0digits$}"));
    }
    out.push('\'');
}
