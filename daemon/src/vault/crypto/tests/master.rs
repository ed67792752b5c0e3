use bip39::{Language, Mnemonic};

use super::{fault, hex, master, master_of};
use crate::vault::crypto::{KeyFault, Master};

/// From the vectors that BIP-39 publishes: 256 bits and their words.
const PUBLISHED: [(&str, &str); 4] = [
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
         abandon art",
    ),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank year wave sausage \
         worth useful legal winner thank year wave sausage worth title",
    ),
    (
        "8080808080808080808080808080808080808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount \
         doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo \
         zoo vote",
    ),
];

#[test]
fn words_are_those_that_bip_39_publishes() {
    for (bytes, words) in PUBLISHED {
        let made = master_of(hex(bytes).try_into().unwrap());
        assert_eq!(made.words().expose(), words);
        assert_eq!(Master::from_words(words).ok().unwrap().bytes(), hex(bytes));
    }
}

#[test]
fn words_are_those_of_the_library() {
    for _ in 0..200 {
        let made = Master::generate().unwrap();
        let theirs = Mnemonic::from_entropy_in(Language::English, made.bytes()).unwrap();
        assert_eq!(made.words().expose(), theirs.to_string());
        assert!(Master::from_words(made.words().expose()).ok() == Some(made));
    }
}

#[test]
fn case_line_breaks_numbers_and_commas_do_no_harm() {
    let words = master().words();
    let typed: Vec<String> = words
        .expose()
        .split(' ')
        .enumerate()
        .map(|(place, word)| format!("{}. {},\r\n\t", place + 1, word.to_uppercase()))
        .collect();
    assert!(Master::from_words(&typed.concat()).ok() == Some(master()));
    assert!(
        Master::from_words(&format!(" {} \n", master().line().expose())).ok() == Some(master())
    );
}

#[test]
fn a_misspelt_word_is_named_and_another_is_offered() {
    let words = PUBLISHED[1].1;
    for (place, wrong, near) in [
        (7, "worht", "worth"),
        (1, "legall", "legal"),
        (24, "titel", "title"),
        (2, "wimner", "winner"),
        (6, "sausge", "sausage"),
    ] {
        let typed: Vec<&str> = words
            .split_whitespace()
            .enumerate()
            .map(|(at, word)| if at + 1 == place { wrong } else { word })
            .collect();
        let said = fault(Master::from_words(&typed.join(" ")));
        let KeyFault::Word { place: told, word, near: offered } = &said else {
            panic!("{said}");
        };
        assert_eq!((*told, word.as_str()), (place, wrong));
        assert!(offered.contains(&near), "{wrong}: {offered:?}");
    }
    let said = fault(Master::from_words(&words.replacen("legal", "abandn", 1)));
    assert_eq!(said.to_string(), "word 1, \"abandn\", is not in the list; did you mean abandon?");
    let said = fault(Master::from_words(&words.replacen("legal", "xylophonist", 1)));
    assert_eq!(
        said.to_string(),
        "word 1, \"xylophonist\", is not in the list; compare it with the key file"
    );
}

#[test]
fn a_wrong_count_and_a_wrong_checksum_are_told_apart() {
    let words = PUBLISHED[2].1;
    let (first, rest) = words.split_once(' ').unwrap();
    assert_eq!(fault(Master::from_words(rest)), KeyFault::WordCount { got: 23 });
    assert_eq!(fault(Master::from_words("")), KeyFault::WordCount { got: 0 });
    assert_eq!(
        fault(Master::from_words(&format!("{words} {first}"))),
        KeyFault::WordCount { got: 25 }
    );
    let swapped = words.replacen("letter advice", "advice letter", 1);
    assert_eq!(fault(Master::from_words(&swapped)), KeyFault::Checksum);
    let many = "zoo ".repeat(1_000);
    assert_eq!(fault(Master::from_words(&many)), KeyFault::WordCount { got: 1_000 });
}

#[test]
fn the_one_line_form_is_exact() {
    let line = master().line();
    assert_eq!(line.expose().len(), 43);
    let line = line.expose();
    for wrong in [
        &line[1..],
        &format!("{line}A"),
        &format!("{line}="),
        &line.replacen(&line[5..6], "*", 1),
        &format!("{}_", &line[..42]),
    ] {
        assert_eq!(fault(Master::from_words(wrong)), KeyFault::OneLine, "{wrong}");
    }
}

#[test]
fn what_is_too_long_is_not_looked_at() {
    assert_eq!(fault(Master::from_words(&"zoo ".repeat(5_000))), KeyFault::TooLong);
}

#[test]
fn what_is_shown_back_is_short_and_has_no_control_characters() {
    let said = fault(Master::from_words(&format!("a{}\u{7}b zoo", "c".repeat(500))));
    assert!(said.to_string().len() < 100, "{said}");
    assert!(!said.to_string().contains('\u{7}'));
}
