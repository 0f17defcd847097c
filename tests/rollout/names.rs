//! Names as nobody sane would choose them, and the server allows.

use fastrand::Rng;

/// Makes names that differ from each other, whatever the server distinguishes.
pub(crate) struct Names(u32);

impl Names {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    /// A name that begins (somewhere) with `stem`; most are plain.
    pub(crate) fn next(&mut self, random: &mut Rng, stem: &str) -> String {
        self.0 += 1;
        let plain = format!("{stem}{}", self.0);
        match random.u32(0..30) {
            0 => format!("{stem} {}", self.0),
            1 => format!("{stem}`{}", self.0),
            2 => format!("{stem}'{}", self.0),
            3 => format!("{stem}\"{}", self.0),
            4 => format!("{stem}ä名{}", self.0),
            5 => format!("{stem}; -- {}", self.0),
            6 => format!("{stem}.{}", self.0),
            7 => format!("{stem}%?{}", self.0),
            8 => format!("{stem}\\{}", self.0),
            9 => format!("{}{stem}", self.0),
            10 => format!("${stem}:{}", self.0),
            11 => format!("{plain}{}", "x".repeat(64 - plain.len())),
            12 => format!("{plain}{}", "é".repeat(64 - plain.len())),
            13 => format!("Mixed{stem}{}", self.0),
            14 => format!("/*{stem}*/{}", self.0),
            15 => reserved(self.0).map_or(plain, str::to_owned),
            _ => plain,
        }
    }
}

/// Each number has at most one, so that no name comes twice.
fn reserved(number: u32) -> Option<&'static str> {
    const WORDS: [&str; 12] =
        ["select", "order", "group", "key", "rank", "row", "table", "where", "index", "system", "values", "check"];
    WORDS.get(usize::try_from(number % 12).ok()?).copied().filter(|_| number < 12)
}
