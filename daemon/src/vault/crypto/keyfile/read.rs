//! Reads a key file, as mail programs, editors and printers leave it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::super::master::WORDS;
use super::super::{KEY_TEXT_BYTES, KeyFault, Master};
use super::{BEGIN, END, FORMAT, KeyFile, TITLE, check, kept};

/// Lines that a key file may have.
const LINES: usize = 400;

/// A line without what was put around it, and its number from 1.
#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

/// Reads a whole key file: the machine's lines, and that the words above them say the same.
pub fn parse(text: &str) -> Result<KeyFile, KeyFault> {
    let lines = lines(text)?;
    let begin = lines.iter().position(|line| line.text == BEGIN);
    let end = lines.iter().position(|line| line.text == END);
    let (Some(begin), Some(end)) = (begin, end) else {
        return Err(unfinished(&lines));
    };
    let machine = lines.get(begin + 1..end).ok_or(KeyFault::Truncated)?;
    let file = fields(machine)?;
    agree(lines.get(..begin).unwrap_or_default(), &file.master)?;
    Ok(file)
}

/// The master password in a key file of this vault and key pair. Of a file that has lost the lines
/// for the machine, and of a file with nothing but the words, it takes the words.
pub fn master(text: &str, vault: Uuid, epoch: u32) -> Result<Master, KeyFault> {
    match parse(text) {
        Ok(file) => file.belongs(vault, epoch).map(|()| file.master),
        Err(KeyFault::Truncated) => {
            let lines = lines(text)?;
            words(&lines).and_then(|(_, words)| of_words(&words).ok()).ok_or(KeyFault::Truncated)
        }
        Err(KeyFault::NotAKeyFile) => Master::from_words(text).map_err(|_| KeyFault::NotAKeyFile),
        Err(fault) => Err(fault),
    }
}

fn lines(text: &str) -> Result<Vec<Line<'_>>, KeyFault> {
    if text.len() > KEY_TEXT_BYTES {
        return Err(KeyFault::TooLong);
    }
    let lines: Vec<_> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .take(LINES)
        .map(|(place, text)| Line { number: place + 1, text: unquoted(text) })
        .collect();
    Ok(lines)
}

/// A line without quote marks of mail and space around it.
fn unquoted(line: &str) -> &str {
    line.trim_start_matches(|letter: char| letter == '>' || letter.is_whitespace()).trim_end()
}

/// What a text is that lacks one of the marks.
fn unfinished(lines: &[Line<'_>]) -> KeyFault {
    let known = |line: &Line<'_>| line.text == TITLE || line.text == BEGIN || line.text == END;
    if lines.iter().any(known) { KeyFault::Truncated } else { KeyFault::NotAKeyFile }
}

/// One field of the machine's lines, on the way.
struct Fields<'a> {
    vault: Option<(Line<'a>, Uuid)>,
    epoch: Option<u32>,
    created: Option<Timestamp>,
    name: String,
    password: Option<(Line<'a>, &'a str)>,
    check: Option<(Line<'a>, &'a str)>,
}

fn fields(lines: &[Line<'_>]) -> Result<KeyFile, KeyFault> {
    let mut fields = Fields {
        vault: None,
        epoch: None,
        created: None,
        name: String::new(),
        password: None,
        check: None,
    };
    let mut lines = lines.iter().filter(|line| !line.text.is_empty());
    let first = lines.next().ok_or(KeyFault::Truncated)?;
    match first.text.split_once(": ") {
        Some(("Format", FORMAT)) => {}
        Some(("Format", other)) if other.parse::<u32>().is_ok() => return Err(KeyFault::Newer),
        _ => return Err(KeyFault::Damaged { line: first.number }),
    }
    let mut read = vec![first.text];
    let mut last = *first;
    for line in lines {
        last = *line;
        if fields.check.is_some() || take(&mut fields, *line).is_none() {
            return Err(KeyFault::Damaged { line: line.number });
        }
        if fields.check.is_none() {
            read.push(line.text);
        }
    }
    whole(&fields, &read, last)
}

/// Takes one line in; nothing where it cannot be one of a key file.
fn take<'a>(fields: &mut Fields<'a>, line: Line<'a>) -> Option<()> {
    let (name, value) = line.text.split_once(": ")?;
    let first = match name {
        "Vault" => fields.vault.replace((line, value.parse().ok()?)).is_none(),
        "Key-Pair" => fields.epoch.replace(value.parse().ok()?).is_none(),
        "Made" => fields.created.replace(value.parse().ok()?).is_none(),
        "Appliance" => {
            fields.name.push_str(value);
            true
        }
        "Password" => fields.password.replace((line, value)).is_none(),
        "Check" => fields.check.replace((line, value)).is_none(),
        _ => false,
    };
    first.then_some(())
}

fn whole(fields: &Fields<'_>, read: &[&str], last: Line<'_>) -> Result<KeyFile, KeyFault> {
    let damaged = KeyFault::Damaged { line: last.number };
    let (Some((vault_line, vault)), Some(epoch), Some(created), Some((line, password))) =
        (fields.vault, fields.epoch, fields.created, fields.password)
    else {
        return Err(damaged);
    };
    let Some((check_line, given)) = fields.check else { return Err(damaged) };
    let master =
        Master::from_line(password).map_err(|_| KeyFault::Damaged { line: line.number })?;
    if given != check(read.iter().copied()) {
        return Err(KeyFault::Damaged { line: check_line.number });
    }
    let name = URL_SAFE_NO_PAD.decode(&fields.name).ok();
    let name = name.and_then(|name| String::from_utf8(name).ok());
    let appliance = name.ok_or(KeyFault::Damaged { line: vault_line.number })?;
    Ok(KeyFile { vault, epoch, appliance: kept(&appliance), created, master })
}

/// The words above the machine's lines say the same, or are not there at all.
fn agree(lines: &[Line<'_>], master: &Master) -> Result<(), KeyFault> {
    let Some((first, words)) = words(lines) else { return Ok(()) };
    let mut expected = master.each_word();
    for (number, word) in &words {
        if expected.next().is_none_or(|expected| !expected.eq_ignore_ascii_case(word)) {
            return Err(KeyFault::Damaged { line: *number });
        }
    }
    if expected.next().is_some() {
        return Err(KeyFault::Damaged { line: words.last().map_or(first, |(number, _)| *number) });
    }
    Ok(())
}

fn of_words(words: &[(usize, &str)]) -> Result<Master, KeyFault> {
    let words: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
    Master::from_each_word(&words)
}

/// The numbered words, each with the number of its line, and the line of the first; nothing where
/// there are none. They must stand in order: 1, 2, 3, … The steps of the text have "1." instead.
fn words<'a>(lines: &[Line<'a>]) -> Option<(usize, Vec<(usize, &'a str)>)> {
    let mut found: Vec<(usize, &str)> = Vec::new();
    for line in lines {
        let mut parts = line.text.split_whitespace();
        while let (Some(number), Some(word)) = (parts.next(), parts.next()) {
            let number = number.parse::<usize>().ok();
            let is_word = word.chars().all(char::is_alphabetic);
            if number == Some(found.len() + 1) && is_word && found.len() < WORDS {
                found.push((line.number, word));
            } else {
                break;
            }
        }
    }
    found.first().map(|(number, _)| (*number, found.clone()))
}
