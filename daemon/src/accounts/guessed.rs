//! What a guesser tries first, and the reason in words.
//!
//! The list is the one of zxcvbn (MIT, beside the list): the most common passwords of many leaks, six
//! characters and longer. Since ours are longer than most of them, a password is also judged by what
//! is left when digits and signs around it are taken off, and when it only says the same again and
//! again.

/// One a line, in small letters, the most common first.
const LIST: &str = include_str!("guessed.txt");
/// Words that the list does not have.
const MORE: &[&str] = &[
    "administrator",
    "kennwort",
    "passwort",
    "network",
    "netzwerk",
    "router",
    "admin",
    "aerie",
    "qwertz",
    "geheim",
    "willkommen",
];
/// Rows of keys, in both directions of reading.
const ROWS: &[&str] = &[
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "yxcvbnm",
    "1234567890",
    "1qaz2wsx3edc4rfv",
];
/// A piece this short, again and again, says nothing.
const SHORT_PIECE: usize = 4;
/// A word shorter than this may be in any password.
const OWN_WORD: usize = 3;

/// The first reason why a guesser gets `password` soon.
pub(super) fn first_reason(password: &str, names: &str, minimum: usize) -> Option<&'static str> {
    let folded = password.to_lowercase();
    let letters: Vec<char> = folded.chars().collect();
    let piece = piece_of(&letters);
    if piece.len() == 1 {
        return Some("one character again and again");
    }
    if is_run(&letters) || is_run(piece) {
        return Some("a run of letters, digits or keys");
    }
    let piece: String = piece.iter().collect();
    let is_short = piece.chars().count() <= SHORT_PIECE && piece.len() < folded.len();
    if is_short {
        return Some("a few characters again and again");
    }
    if [folded.as_str(), &piece].into_iter().any(is_common) {
        return Some("a very common password");
    }
    // Half of what is asked for has to be of the owner's own making.
    let left = own_words(names).fold(folded, |left, word| left.replace(&word, ""));
    if left.chars().count() * 2 < minimum {
        return Some("little more than a name that goes with you or this appliance");
    }
    None
}

/// The piece that a text repeats; the whole text if it does not.
fn piece_of(letters: &[char]) -> &[char] {
    (1..=letters.len() / 2)
        .map(|length| letters.split_at(length).0)
        .find(|piece| letters.chunks(piece.len()).all(|chunk| piece.starts_with(chunk)))
        .unwrap_or(letters)
}

/// Whether each character follows on the one before, upwards, downwards or along the keys.
fn is_run(letters: &[char]) -> bool {
    let follows = |pair: &[char]| match *pair {
        [one, next] => {
            let (one_number, next_number) = (u32::from(one), u32::from(next));
            one_number.abs_diff(next_number) <= 1
                || is_wrapped(one, next)
                || side_by_side(one, next)
        }
        _ => true,
    };
    let steps = letters.len().saturating_sub(1);
    let followed = letters.windows(2).filter(|pair| follows(pair)).count();
    // A run of ten may break off once.
    steps > 0 && (steps - followed) * 10 <= steps
}

fn is_wrapped(one: char, next: char) -> bool {
    matches!((one, next), ('9', '0') | ('0', '9') | ('z', 'a') | ('a', 'z'))
}

fn side_by_side(one: char, next: char) -> bool {
    let near = |row: &str| {
        let place = |letter| row.find(letter);
        place(one).zip(place(next)).is_some_and(|(one, next)| one.abs_diff(next) == 1)
    };
    ROWS.iter().any(|row| near(row))
}

/// Whether a text, or what is left of it without digits and signs around, stands in the list.
fn is_common(text: &str) -> bool {
    let bare = text.trim_matches(|letter: char| !letter.is_alphabetic());
    let front = bare.split(|letter: char| !letter.is_alphabetic()).next().unwrap_or_default();
    let listed = |text: &str| {
        !text.is_empty() && (MORE.contains(&text) || LIST.lines().any(|line| line == text))
    };
    let only_words = |text: &str| {
        let mut words = text.split(|letter: char| !letter.is_alphabetic());
        words.all(|word| word.is_empty() || word == front)
    };
    // "password 2026 password" is no more than "password".
    listed(text) || listed(bare) || (only_words(bare) && listed(piece_text(front).as_str()))
}

fn piece_text(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    piece_of(&letters).iter().collect()
}

/// The words that go with somebody and with the appliance, in small letters, and their parts: of a
/// host name, of an e-mail address.
fn own_words(names: &str) -> impl Iterator<Item = String> {
    let mut words: Vec<String> = names
        .split(' ')
        .chain(["aerie"])
        .flat_map(|word| word.split(['@', '.', '-', '_']).chain([word]))
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() >= OWN_WORD)
        .collect();
    // The longest first: it holds the others.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(password: &str) -> Option<&'static str> {
        first_reason(password, "Olga olga.meier@example.net net.example.org", 15)
    }

    #[test]
    fn l6_what_a_guesser_tries_first_is_known_with_its_reason() {
        for (password, word) in [
            ("aaaaaaaaaaaaaaaa", "one character"),
            ("xkwxkwxkwxkwxkwxk", "a few characters"),
            ("123456789012345", "a run"),
            ("9876543210987654", "a run"),
            ("abcdefghijklmnopq", "a run"),
            ("qwertyuiopasdfghjkl", "a run"),
            ("123456789123456789", "a run"),
            ("Password12345678!", "very common"),
            ("passwordpassword", "very common"),
            ("!!!dragon!!!dragon!!!", "very common"),
            ("sunshine20262026", "very common"),
            ("Administrator2026", "very common"),
            ("olgaolgaolgaolga12", "a name"),
            ("Olga Meier Olga 1", "a name"),
            ("net.example.org net", "a name"),
            ("aerie-aerie-olga-1", "a name"),
        ] {
            let told = reason(password).unwrap_or_default();
            assert!(told.contains(word), "{password}: {told:?}");
        }
    }

    #[test]
    fn l6_a_few_words_of_ones_own_are_fine() {
        for password in [
            "a mast in the meadow",
            "seven herons over Lake Orta",
            "пятнадцать букв",
            "correct horse battery staple",
            "olga likes seven herons",
            "x9$Kq2!vLm4@Tz7&",
        ] {
            assert_eq!(reason(password), None, "{password}");
        }
    }

    #[test]
    fn l6_the_list_is_in_small_letters_and_has_what_everybody_knows() {
        let lines: Vec<&str> = LIST.lines().collect();
        assert!(lines.len() > 25_000, "{}", lines.len());
        assert!(
            lines.iter().all(|line| line.chars().count() >= 6 && **line == line.to_lowercase())
        );
        for known in ["password", "12345678", "iloveyou", "trustno1", "1qaz2wsx"] {
            assert!(lines.contains(&known), "{known}");
        }
    }
}
