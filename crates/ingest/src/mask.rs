//! What of a file's content may appear in messages and logs: short, and without card numbers.

/// Most characters of a value that a message shows.
pub(crate) const SHOWN_CHARS: usize = 64;

/// Fewest digits of a card number (ISO/IEC 7812 as issued: 13 to 19).
const CARD_DIGITS_MIN: usize = 13;

/// The value as a message may show it: every run of 13 or more digits is replaced digit by digit with `*`, then
/// the text is cut to [`SHOWN_CHARS`] characters and control characters are escaped.
///
/// Digits may be grouped by single spaces, dots or hyphens, as people type card numbers. Whether a run is a valid
/// card number is not asked: a message needs no long number.
pub(crate) fn masked(value: &str) -> String {
    let is_cut = value.chars().nth(SHOWN_CHARS).is_some();
    let kept_chars = if is_cut { SHOWN_CHARS - 1 } else { SHOWN_CHARS };
    let mut shown = String::new();
    for character in mask_long_numbers(value).chars().take(kept_chars) {
        shown.push(if character.is_control() { '\u{fffd}' } else { character });
    }
    if is_cut {
        shown.push('…');
    }
    shown
}

fn mask_long_numbers(value: &str) -> String {
    let characters: Vec<char> = value.chars().collect();
    let mut masked = characters.clone();
    let mut start = 0;
    while start < characters.len() {
        if !characters[start].is_ascii_digit() {
            start += 1;
            continue;
        }
        let end = end_of_number(&characters, start);
        let digits = characters[start..end].iter().filter(|character| character.is_ascii_digit()).count();
        if digits >= CARD_DIGITS_MIN {
            for character in &mut masked[start..end] {
                if character.is_ascii_digit() {
                    *character = '*';
                }
            }
        }
        start = end;
    }
    masked.into_iter().collect()
}

/// End of the run of digits from `start`, single separators between digits included.
fn end_of_number(characters: &[char], start: usize) -> usize {
    let is_digit = |index: usize| characters.get(index).is_some_and(char::is_ascii_digit);
    let is_separator = |index: usize| matches!(characters.get(index), Some(' ' | '-' | '.'));
    let mut end = start;
    while is_digit(end) || (is_separator(end) && is_digit(end + 1)) {
        end += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_masked_and_long_texts_cut() {
        let cases = [
            ("12.50", "12.50"),
            ("4111111111111111", "****************"),
            ("no 4111 1111-1111.1111!", "no **** ****-****.****!"),
            ("123456789012", "123456789012"),
            ("a\tb\n", "a\u{fffd}b\u{fffd}"),
            ("", ""),
        ];
        for (value, expected) in cases {
            assert_eq!(masked(value), expected, "{value}");
        }
        let exact = "x".repeat(SHOWN_CHARS);
        assert_eq!(masked(&exact), exact);
        let cut = masked(&"é".repeat(SHOWN_CHARS + 1));
        assert_eq!(cut.chars().count(), SHOWN_CHARS);
        assert!(cut.ends_with('…'));
        let hidden = format!("{}4111111111111111", "x".repeat(55));
        assert!(!masked(&hidden).contains('4'), "a number at the cut is masked before it is cut");
    }
}
