use jiff::Timestamp;
use uuid::Uuid;

use super::{fault, master, vault};
use crate::vault::crypto::keyfile::{KeyFile, parse, write};
use crate::vault::crypto::{KeyFault, Master, keyfile};

fn file() -> KeyFile {
    KeyFile {
        vault: vault(),
        epoch: 1,
        appliance: "nms.example.net".to_owned(),
        created: "2026-11-26T13:44:05Z".parse().unwrap(),
        master: master(),
    }
}

fn text() -> String {
    write(&file()).expose().to_owned()
}

fn reads(text: &str) {
    let read = parse(text).ok().unwrap_or_else(|| panic!("this does not read:\n{text}"));
    let file = file();
    assert_eq!((read.vault, read.epoch), (file.vault, file.epoch));
    assert_eq!((read.appliance, read.created), (file.appliance, file.created));
    assert!(read.master == file.master);
}

/// As this release writes it. Older files must open for ever.
const FROZEN: &str = include_str!("keyfile.txt");

#[test]
fn the_format_is_frozen() {
    assert_eq!(text(), FROZEN);
    reads(FROZEN);
}

#[test]
fn it_is_plain_text_that_mail_and_paper_leave_as_it_is() {
    let long = "Ünterföhring \n\r\u{7} ".repeat(60);
    for name in ["nms.example.net", "", "Straße 😀", long.as_str()] {
        let written = write(&KeyFile { appliance: name.to_owned(), ..file() });
        let text = written.expose();
        assert!(text.is_ascii());
        assert!(text.len() < 4 * 1024);
        let wide = text.lines().filter(|line| !line.starts_with("Appliance: "));
        assert_eq!(wide.filter(|line| line.len() > 78).count(), 0);
        assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'));
        let read = parse(text).ok().unwrap();
        let kept: String = name.chars().filter(|letter| !letter.is_control()).take(128).collect();
        assert_eq!(read.appliance, kept);
    }
}

fn each_line(text: &str, change: impl Fn(&str) -> String) -> String {
    text.lines().map(change).collect()
}

#[test]
fn what_mail_and_editors_do_to_a_text_does_no_harm() {
    let text = text();
    reads(&text.replace('\n', "\r\n"));
    reads(&format!("\u{feff}{text}"));
    reads(&each_line(&text, |line| format!("{line}  \t\n")));
    reads(&each_line(&text, |line| format!("> {line}\r\n")));
    reads(&each_line(&text, |line| format!(">> > {line}\n")));
    reads(&each_line(&text, |line| format!("    {line}\n\n")));
    reads(&format!("Dear colleague,\n\nhere it is:\n\n{text}\n--\nBye\n"));
    reads(text.split_once("For the machine\n").unwrap().1);
}

#[test]
fn every_cut_is_told_as_one() {
    let text = text();
    let whole = text.trim_end().len();
    let named = "AERIE KEY FILE\n".len() - 1;
    for end in 0..whole {
        let said = fault(parse(&text[..end]));
        let expected = if end < named { KeyFault::NotAKeyFile } else { KeyFault::Truncated };
        assert_eq!(said, expected, "cut at {end}");
    }
    reads(&text[..whole]);
    let begin = text.find("-----BEGIN").unwrap();
    for start in begin + 1..whole - 40 {
        assert_eq!(fault(parse(&text[start..])), KeyFault::Truncated, "cut before {start}");
    }
}

#[test]
fn every_changed_letter_for_the_machine_is_told_as_damage() {
    let text = text();
    let lines = text.lines().count();
    let begin = text.find("Format: ").unwrap();
    let end = text.find("\n-----END").unwrap();
    for place in begin..end {
        let mut changed = text.clone().into_bytes();
        changed[place] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        match fault(parse(&changed)) {
            KeyFault::Damaged { line } => assert!((lines - 8..lines).contains(&line), "{line}"),
            KeyFault::Newer => assert_eq!(place, begin + "Format: ".len()),
            other => panic!("byte {place}: {other}"),
        }
    }
}

#[test]
fn words_and_line_that_disagree_are_told_with_the_line() {
    let text = text();
    let other = Master::generate().unwrap();
    let (own, theirs) = (master().words(), other.words());
    let (own, theirs): (Vec<_>, Vec<_>) =
        (own.expose().split(' ').collect(), theirs.expose().split(' ').collect());
    let rows: Vec<_> = text.lines().collect();
    for place in 0..24 {
        let row = rows.iter().position(|row| row.trim().starts_with("1 ")).unwrap() + place / 4;
        let was = format!(" {} {}", place + 1, own[place]);
        assert!(rows[row].contains(&was), "{}", rows[row]);
        if own[place] == theirs[place] {
            continue;
        }
        let changed = text.replacen(&was, &format!(" {} {}", place + 1, theirs[place]), 1);
        assert_eq!(fault(parse(&changed)), KeyFault::Damaged { line: row + 1 });
    }
}

#[test]
fn where_the_lines_for_the_machine_are_lost_the_words_still_do() {
    let text = text();
    let (prose, _) = text.split_once("For the machine").unwrap();
    for kept in [prose.to_owned(), format!("{prose}-----BEGIN AERIE KEY FILE-----\nFormat: 1\n")] {
        assert_eq!(fault(parse(&kept)), KeyFault::Truncated);
        let read = keyfile::master(&kept, vault(), 1);
        assert!(read.ok() == Some(master()));
    }
    assert!(keyfile::master(master().words().expose(), vault(), 1).ok() == Some(master()));
    let (fewer, _) = prose.split_once("  21 ").unwrap();
    assert_eq!(fault(keyfile::master(fewer, vault(), 1)), KeyFault::Truncated);
}

#[test]
fn a_file_of_another_appliance_and_of_a_former_key_pair_are_told() {
    let text = text();
    assert!(keyfile::master(&text, vault(), 1).ok() == Some(master()));
    let said = fault(keyfile::master(&text, Uuid::from_u128(1), 1));
    let appliance = "nms.example.net".to_owned();
    assert_eq!(said, KeyFault::OtherVault { theirs: vault(), appliance });
    assert!(said.to_string().contains("of the appliance \"nms.example.net\""));
    let said = fault(keyfile::master(&text, vault(), 2));
    assert_eq!(said, KeyFault::OtherEpoch { theirs: 1, ours: 2 });
}

#[test]
fn what_is_no_key_file_is_said_to_be_none() {
    for other in ["", "\n", "hello", "%PDF-1.7\n\u{1}\u{2}", "-----BEGIN CERTIFICATE-----\nAAAA\n"]
    {
        assert_eq!(fault(parse(other)), KeyFault::NotAKeyFile);
        assert_eq!(fault(keyfile::master(other, vault(), 1)), KeyFault::NotAKeyFile);
    }
    let long = "x".repeat(16 * 1024 + 1);
    assert_eq!(fault(parse(&long)), KeyFault::TooLong);
}

#[test]
fn a_file_of_a_later_version_is_said_to_be_one() {
    let later = text().replace("Format: 1\n", "Format: 2\nSomething: else\n");
    assert_eq!(fault(parse(&later)), KeyFault::Newer);
}

#[test]
fn a_time_is_kept_to_the_second_it_was_given() {
    let created = Timestamp::from_millisecond(1_795_700_000_123).unwrap();
    let written = write(&KeyFile { created, ..file() });
    assert_eq!(parse(written.expose()).ok().unwrap().created, created);
}
