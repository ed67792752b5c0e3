use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{fault, master, vault};
use crate::vault::crypto::draw::Drawn;
use crate::vault::crypto::shares::{Share, combine, split, split_with};
use crate::vault::crypto::{CryptoError, KeyFault, Master};

/// A splitting that is the same in every run: 3 of 5.
fn made() -> Vec<Share> {
    let drawn = (0..2 * 35 * 4).map(|place| u8::try_from(place * 11 % 251).unwrap()).collect();
    split_with(&master(), vault(), (4, 3, 5), Drawn::of(Zeroizing::new(drawn))).unwrap()
}

fn some(shares: &[Share], numbers: &[usize]) -> Vec<Share> {
    numbers.iter().map(|number| shares[number - 1].clone()).collect()
}

/// The shares 1, 2 and 5 of that splitting, computed by a program that has nothing of ours in it.
/// Older shares must open for ever.
const FROZEN: [&str; 3] = [
    "aerie-share-1\n\
     vault 3f2a9c41 set 4\n\
     share 1 of 5, 3 open the vault\n\
     dkdxj tr988 y9v19 vkr34 5ae85\n\
     0btyt gmp2e 72nhm z13m5 qkcm1\n\
     bkhe5 jdfqg qvtm2 020ha 035h8\n",
    "aerie-share-1\n\
     vault 3f2a9c41 set 4\n\
     share 2 of 5, 3 open the vault\n\
     dnbv0 yeqnf q3dw7 d1b46 001cx\n\
     rmxec men49 xyqh8 kzykk vb234\n\
     7swty yzwt8 ksmgy mgpvw 6ybkx\n",
    "aerie-share-1\n\
     vault 3f2a9c41 set 4\n\
     share 5 of 5, 3 open the vault\n\
     ajd90 83pk5 ayr68 559sk x3vg1\n\
     f4hvj 5r829 6qh96 3z16q dbh31\n\
     svg1b 6jzhs 801tf 74cr4 85b5v\n",
];

#[test]
fn the_format_is_frozen() {
    let shares = made();
    for (text, number) in FROZEN.iter().zip([1, 2, 5]) {
        assert_eq!(shares[number - 1].text().expose(), *text);
    }
    let read: Vec<Share> = FROZEN.iter().map(|text| Share::parse(text).ok().unwrap()).collect();
    assert!(combine(&read).ok() == Some(master()));
}

/// Multiplies in GF(256) with the polynomial of AES, bit by bit: not the library's way.
fn times(mut one: u16, other: u16) -> u16 {
    let mut product = 0;
    for bit in 0..8 {
        if (other >> bit) & 1 == 1 {
            product ^= one;
        }
        one <<= 1;
        if one & 0x100 != 0 {
            one ^= 0x11b;
        }
    }
    product
}

#[test]
fn shares_are_points_of_a_polynomial_that_anybody_can_compute() {
    let shares: Vec<(u16, Vec<u8>)> =
        made().iter().map(|share| (share.number.into(), share.data.to_vec())).collect();
    let inverse = |of: u16| (1..256).find(|other| times(of, *other) == 1).unwrap();
    for chosen in [[0, 1, 2], [0, 2, 4], [4, 3, 1]] {
        let mut secret = [0_u16; 35];
        for one in chosen {
            let mut weight = 1;
            for other in chosen.iter().filter(|other| **other != one) {
                let apart = inverse(shares[*other].0 ^ shares[one].0);
                weight = times(weight, times(shares[*other].0, apart));
            }
            for (byte, of) in secret.iter_mut().zip(&shares[one].1) {
                *byte ^= times((*of).into(), weight);
            }
        }
        let secret: Vec<u8> = secret.iter().map(|byte| u8::try_from(*byte).unwrap()).collect();
        assert_eq!(&secret[..32], master().bytes());
    }
}

#[test]
fn any_that_are_enough_make_the_password_and_fewer_do_not() {
    for (needed, total) in [(2, 2), (2, 3), (3, 5), (5, 8), (16, 16)] {
        let shares = split(&master(), vault(), 1, needed, total).unwrap();
        assert_eq!(shares.len(), usize::from(total));
        for start in 0..shares.len() {
            let mut turned = shares.clone();
            turned.rotate_left(start);
            let enough = &turned[..usize::from(needed)];
            assert!(combine(enough).ok() == Some(master()), "{needed} of {total}");
            let said = fault(combine(&enough[1..]));
            let given = usize::from(needed) - 1;
            let expected =
                KeyFault::SharesMissing { given, needed: if given == 0 { 2 } else { needed } };
            assert_eq!(said, expected);
        }
        assert!(combine(&shares).ok() == Some(master()));
    }
    assert_eq!(fault(combine(&[])), KeyFault::SharesMissing { given: 0, needed: 2 });
}

#[test]
fn a_splitting_that_cannot_be_is_refused() {
    for (needed, total) in [(0, 0), (1, 1), (1, 3), (4, 3), (2, 17), (255, 255), (0, 16)] {
        let result = split(&master(), vault(), 1, needed, total);
        assert_eq!(result.err(), Some(CryptoError::Split), "{needed} of {total}");
    }
    let dry = Drawn::of(Zeroizing::new(vec![1; 2 * 35 * 4 - 1]));
    let result = split_with(&master(), vault(), (1, 3, 5), dry);
    assert_eq!(result.err(), Some(CryptoError::Random));
}

#[test]
fn shares_that_do_not_belong_together_are_told() {
    let shares = made();
    let twice = some(&shares, &[1, 2, 1]);
    assert_eq!(fault(combine(&twice)), KeyFault::ShareTwice { number: 1 });
    let other = split(&master(), vault(), 5, 3, 5).unwrap();
    let mixed = [some(&shares, &[1, 2]), some(&other, &[3])].concat();
    assert_eq!(fault(combine(&mixed)), KeyFault::SharesDisagree);
    // The same number of a set, as a vault restored from a backup might give it twice.
    let another = split(&Master::generate().unwrap(), vault(), 4, 3, 5).unwrap();
    let mixed = [some(&shares, &[1, 2]), some(&another, &[3])].concat();
    assert_eq!(fault(combine(&mixed)), KeyFault::SharesDisagree);
}

#[test]
fn a_share_of_another_vault_or_set_is_told() {
    let share = &made()[0];
    assert_eq!(share.belongs(vault(), 4), Ok(()));
    assert_eq!(
        share.belongs(Uuid::from_u128(0xab), 4),
        Err(KeyFault::ShareOfOtherVault { theirs: "3f2a9c41".into(), ours: "000000ab".into() })
    );
    assert_eq!(share.belongs(vault(), 9), Err(KeyFault::ShareOfOtherSet { theirs: 4, ours: 9 }));
}

#[test]
fn how_it_is_typed_does_no_harm() {
    let text = made()[1].text();
    let text = text.expose();
    for typed in [
        text.to_uppercase(),
        text.replace('\n', "\r\n"),
        text.replace('\n', "  "),
        format!("\u{feff}{text}\n\n"),
        text.lines().flat_map(|line| ["> ", line, "\n"]).collect(),
    ] {
        let read = Share::parse(&typed).ok().unwrap();
        assert_eq!(read.fingerprint(), made()[1].fingerprint());
    }
    let (head, groups) = text.split_once("vault\n").unwrap();
    let (_, groups) = groups.split_once("vault\n").unwrap_or(("", groups));
    assert!(head.starts_with("aerie-share-1\n"));
    let mistaken = groups.replace('0', "O").replace('1', "l");
    let read = Share::parse(&text.replace(groups, &mistaken)).ok().unwrap();
    assert_eq!(read.fingerprint(), made()[1].fingerprint());
}

#[test]
fn every_cut_is_told() {
    let text = made()[0].text();
    let text = text.expose().trim_end();
    for end in 0..text.len() {
        let said = fault(Share::parse(&text[..end]));
        let mark = end < "aerie-share-1".len();
        let fits = match &said {
            KeyFault::NotAShare => mark,
            KeyFault::ShareHead | KeyFault::ShareLength { .. } => !mark,
            KeyFault::ShareGroup { group, .. } => *group == 15,
            _ => false,
        };
        assert!(fits, "cut at {end}: {said}");
    }
    let longer = format!("{text} 00000 00000 00000");
    assert_eq!(fault(Share::parse(&longer)), KeyFault::ShareLength { got: 16 });
}

#[test]
fn every_wrong_letter_is_named_with_its_group() {
    let text = made()[0].text();
    let text = text.expose();
    let start = text.find("the vault\n").unwrap() + "the vault\n".len();
    let groups: Vec<&str> = text[start..].split_whitespace().collect();
    for (place, group) in groups.iter().enumerate() {
        for letter in 0..5 {
            for other in "0123456789abcdefghjkmnpqrstvwxyz*u".chars() {
                if group.chars().nth(letter) == Some(other) {
                    continue;
                }
                let wrong: String = group
                    .chars()
                    .enumerate()
                    .map(|(at, was)| if at == letter { other } else { was })
                    .collect();
                let mut typed = groups.clone();
                typed[place] = &wrong;
                let said = fault(Share::parse(&format!("{}{}", &text[..start], typed.join(" "))));
                let named = KeyFault::ShareGroup { group: place + 1, text: wrong.clone() };
                // The last group checks the others: a letter of it that could be one says so.
                assert!(said == named || (place == 14 && said == KeyFault::ShareHead), "{said}");
            }
        }
    }
}

#[test]
fn changed_first_lines_are_told() {
    let text = made()[0].text();
    let text = text.expose();
    for (was, is) in [
        ("vault 3f2a9c41", "vault 3f2a9c42"),
        ("vault 3f2a9c41", "vault 3f2a9c4"),
        ("set 4", "set 5"),
        ("set 4", "set 99999999999"),
        ("share 1 of 5", "share 2 of 5"),
        ("share 1 of 5", "share 0 of 5"),
        ("share 1 of 5", "share 6 of 5"),
        ("of 5, 3", "of 4, 3"),
        ("of 5, 3", "of 255, 3"),
        ("of 5, 3", "of 5, 1"),
        ("of 5, 3", "of 5, 2"),
    ] {
        assert!(text.contains(was));
        assert_eq!(fault(Share::parse(&text.replace(was, is))), KeyFault::ShareHead, "{is}");
    }
}

#[test]
fn what_is_no_share_is_said_to_be_none() {
    for other in ["", "hello", "aerie-share-2\nvault 0", master().words().expose()] {
        assert_eq!(fault(Share::parse(other)), KeyFault::NotAShare);
    }
    assert_eq!(fault(Share::parse(&"a ".repeat(10_000))), KeyFault::TooLong);
}

#[test]
fn no_two_shares_have_one_fingerprint() {
    let mut shares = made();
    shares.extend(split(&master(), vault(), 4, 3, 5).unwrap());
    let prints: std::collections::BTreeSet<_> = shares.iter().map(Share::fingerprint).collect();
    assert_eq!(prints.len(), 10);
    let shown = URL_SAFE_NO_PAD.encode(made()[0].fingerprint());
    assert_eq!(shown, "X88VYsyEeDhfmC3Q96_loW_bgDcPrJXeu3yFDjvq_E8");
}
