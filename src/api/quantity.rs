//! Kubernetes' quantities as numbers of bytes.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The bytes that a quantity names: a whole number, alone or with one of the suffixes k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi and Ei. `None`:
/// it is none of these, or too large.
#[must_use]
pub fn bytes(quantity: &Quantity) -> Option<u64> {
    let digits = quantity.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.0.len());
    let (number, suffix) = quantity.0.split_at_checked(digits)?;
    let unit = match suffix {
        "" => 1,
        "k" => 1000,
        "Ki" => 1 << 10,
        "M" => 1_000_000,
        "Mi" => 1 << 20,
        "G" => 1_000_000_000,
        "Gi" => 1 << 30,
        "T" => 1_000_000_000_000,
        "Ti" => 1 << 40,
        "P" => 1_000_000_000_000_000,
        "Pi" => 1 << 50,
        "E" => 1_000_000_000_000_000_000,
        "Ei" => 1 << 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_bytes_are_understood_and_nothing_else_is() {
        let cases = [
            ("512", Some(512)),
            ("2k", Some(2000)),
            ("512Mi", Some(536_870_912)),
            ("2Gi", Some(2_147_483_648)),
            ("15Ei", Some(17_293_822_569_102_704_640)),
            ("16Ei", None),
            ("1.5Gi", None),
            ("100m", None),
            ("1e9", None),
            ("-1", None),
            ("Mi", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(&Quantity(text.to_owned())), expected, "{text}");
        }
    }
}
