//! The hint of every "unknown name" error: the nearest name that is known.

/// Characters of an unknown name that are compared; longer names are not slips of the pen.
const COMPARED_CHARS: usize = 64;

/// `did you mean "x"?` where a known name is near, otherwise the list of the known names.
pub(crate) fn hint(unknown: &str, known: &[&str]) -> String {
    match nearest(unknown, known) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None if known.is_empty() => "none is known here".to_owned(),
        None => format!("known: {}", known.join(", ")),
    }
}

fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let compared: String = unknown.chars().take(COMPARED_CHARS).collect::<String>().to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let distance = strsim::damerau_levenshtein(&compared, &name.to_lowercase());
        let related = name.len() > 3
            && compared.len() > 3
            && (name.starts_with(&compared) || compared.starts_with(name));
        let allowed = if related { COMPARED_CHARS } else { 1 + name.chars().count() / 3 };
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_proposed_and_far_ones_listed() {
        let known = ["payment_id", "currency", "amount"];
        let cases = [
            ("paymentid", "did you mean \"payment_id\"?"),
            ("Currency", "did you mean \"currency\"?"),
            ("amount_minor", "did you mean \"amount\"?"),
            ("zzz", "known: payment_id, currency, amount"),
        ];
        for (unknown, expected) in cases {
            assert_eq!(hint(unknown, &known), expected);
        }
        assert_eq!(hint("x", &[]), "none is known here");
    }
}
