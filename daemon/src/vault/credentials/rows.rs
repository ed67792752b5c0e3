//! A CSV file as rows that can be kept, or as faults by line, each with what to do.

use csv::{ReaderBuilder, StringRecord};
use zeroize::Zeroizing;

use super::CredentialError;
use super::bounds::check_secret;
use super::changing::NewCredential;
use super::importing::{Fault, IMPORT_BYTES};
use super::places::{Directory, Place};
use crate::store::records::CredentialRecord;
use crate::vault::SecretText;

/// Rows of a file.
const ROWS: usize = 20_000;
/// Faults that are told of a file.
const FAULTS: usize = 100;
/// Columns that are read, and what an export writes. The device's name is for people alone.
pub(super) const COLUMNS: [&str; 9] = [
    "device",
    "device_name",
    "label",
    "username",
    "password",
    "read_only",
    "ssh_port",
    "https_port",
    "note",
];

/// A row that can be kept.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) record: CredentialRecord,
    pub(super) secret: SecretText,
}

/// What a file holds.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) count: usize,
    pub(super) good: Vec<Row>,
    pub(super) faults: Vec<Fault>,
    pub(super) columns: Vec<String>,
}

impl Rows {
    pub(super) fn blame(&mut self, line: u64, message: String) {
        if self.faults.len() < FAULTS {
            self.faults.push(Fault { line, message });
        }
    }
}

/// Reads a file. Only one that is too large is refused as a whole.
pub(super) fn read(text: &str, directory: &Directory) -> Result<Rows, CredentialError> {
    if text.len() > IMPORT_BYTES {
        let told = format!("the file is too large; it may have {IMPORT_BYTES} bytes, so split it");
        return Err(CredentialError::Form(told));
    }
    // Spreadsheets put a byte order mark before the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rows = Rows::default();
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(text))
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let mut header = None;
    while reader.read_record(&mut record).map_err(|error| unreadable(&error))? {
        let line = record.position().map_or(0, csv::Position::line);
        let Some(columns) = &header else {
            header = Some(columns_of(&record, line, &mut rows));
            continue;
        };
        if record.iter().all(str::is_empty) {
            continue;
        }
        rows.count += 1;
        if rows.count > ROWS {
            let told = format!("the file has too many rows; it may have {ROWS}, so split it");
            return Err(CredentialError::Form(told));
        }
        if columns.is_empty() {
            continue;
        }
        match row(columns, &record, directory) {
            Ok((record, secret)) => rows.good.push(Row { line, record, secret }),
            Err(message) => rows.blame(line, message),
        }
    }
    if header.is_none() {
        rows.blame(1, format!("the file is empty; its first line names the columns: {}", list()));
    }
    Ok(rows)
}

fn unreadable(error: &csv::Error) -> CredentialError {
    CredentialError::Form(format!("the file is no CSV: {error}"))
}

/// What stands between the fields: German spreadsheets write semicolons.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |sign: char| header.chars().filter(|letter| *letter == sign).count();
    if count(';') > count(',') { b';' } else { b',' }
}

fn list() -> String {
    COLUMNS.join(", ")
}

/// The columns by their places; none where the file cannot be read by them.
fn columns_of(header: &StringRecord, line: u64, rows: &mut Rows) -> Vec<&'static str> {
    let mut columns = Vec::new();
    let before = rows.faults.len();
    for written in header {
        let name = written.trim().to_lowercase().replace([' ', '-'], "_");
        match COLUMNS.into_iter().find(|known| *known == name) {
            Some(known) if columns.contains(&known) => {
                rows.blame(line, format!("the column {known} is there twice; take one out"));
            }
            Some(known) => columns.push(known),
            None => {
                let shown: String = written.chars().take(40).collect();
                let told = format!("the column {shown:?} is not known; there are {}", list());
                rows.blame(line, told);
            }
        }
    }
    for needed in ["username", "password"] {
        if !columns.contains(&needed) {
            rows.blame(line, format!("the column {needed} is missing; add it to the first line"));
        }
    }
    if !columns.contains(&"device") && !columns.contains(&"label") {
        rows.blame(line, "the columns device and label are missing; add one of them".to_owned());
    }
    if rows.faults.len() > before {
        return Vec::new();
    }
    rows.columns = columns.iter().map(|&name| name.to_owned()).collect();
    columns
}

type Kept = (CredentialRecord, SecretText);

fn row(
    columns: &[&'static str],
    record: &StringRecord,
    directory: &Directory,
) -> Result<Kept, String> {
    if record.len() != columns.len() {
        return Err(format!(
            "the line has {} fields and the first line {}; look for a missing quote or separator",
            record.len(),
            columns.len()
        ));
    }
    let field = |name: &str| {
        let at = columns.iter().position(|column| *column == name);
        at.and_then(|at| record.get(at)).unwrap_or_default()
    };
    let device = match field("device").trim() {
        "" => None,
        name => Some(device(directory, name)?),
    };
    let new = NewCredential {
        device,
        label: plain(field("label").trim()).to_owned(),
        username: field("username").trim().to_owned(),
        read_only: yes(field("read_only").trim())?,
        ssh_port: port("ssh_port", field("ssh_port").trim())?,
        https_port: port("https_port", field("https_port").trim())?,
        note: plain(field("note").trim()).to_owned(),
    };
    let record = new.record("imported").map_err(|error| error.to_string())?;
    // To the byte: a space at its end may be part of it.
    let secret = SecretText::new(field("password").to_owned());
    check_secret(&secret).map_err(|error| error.to_string())?;
    Ok((record, secret))
}

fn device(directory: &Directory, name: &str) -> Result<uuid::Uuid, String> {
    let shown: String = name.chars().take(60).collect();
    match directory.find(name) {
        [id] => Ok(*id),
        [] => Err(format!(
            "there is no authorised device {shown:?}; write its id, name, MAC address or \
             address, or leave the device empty and give a label"
        )),
        several => Err(format!(
            "{} devices are called {shown:?}; write the id or the MAC address of one",
            several.len()
        )),
    }
}

fn yes(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "" | "0" | "no" | "false" => Ok(false),
        "1" | "yes" | "true" => Ok(true),
        _ => Err("read_only must be yes or no".to_owned()),
    }
}

fn port(column: &str, text: &str) -> Result<Option<u16>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let number: Option<u16> = text.parse().ok().filter(|port| *port != 0);
    number.map(Some).ok_or_else(|| format!("{column} must be a port, 1 to 65535, or empty"))
}

/// What a spreadsheet would take for a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A text for people, so that no spreadsheet takes it for a formula. Passwords and user names stay
/// as they are: with a sign more they would be others, and who imports them would be locked out.
pub(super) fn defused(text: &str) -> Zeroizing<String> {
    let begins = text.starts_with(FORMULA) || text.starts_with('\'');
    Zeroizing::new(if begins { format!("'{text}") } else { text.to_owned() })
}

/// The inverse of [`defused`].
fn plain(text: &str) -> &str {
    let bare = text.strip_prefix('\'');
    bare.filter(|bare| bare.starts_with(FORMULA) || bare.starts_with('\'')).unwrap_or(text)
}

/// One of several rows for the same account is one too many.
pub(super) fn blame_twins(rows: &mut Rows) {
    let mut seen = std::collections::HashMap::new();
    let mut twins = Vec::new();
    for row in &rows.good {
        let account = (Place::of(&row.record), row.record.username.clone());
        if let Some(first) = seen.insert(account, row.line) {
            twins.push((row.line, first));
        }
    }
    for (line, first) in twins {
        rows.blame(line, format!("line {first} is about the same account; take one of them out"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Rows {
        read(text, &Directory::default()).unwrap()
    }

    fn faults(text: &str) -> Vec<(u64, String)> {
        read_text(text).faults.into_iter().map(|fault| (fault.line, fault.message)).collect()
    }

    #[test]
    fn both_separators_and_a_byte_order_mark_are_read() {
        for text in [
            "label,username,password\nRadio mast,root,a;b\n",
            "\u{feff}Label;User-Name;Password\r\nRadio mast;root;a,b\r\n"
                .replace("User-Name", "USERNAME")
                .as_str(),
            "\nLABEL;username;password;note\n\n\"Radio mast\";root;\"a\"\"b\";x\n",
        ] {
            let rows = read_text(text);
            assert_eq!((rows.good.len(), rows.count), (1, 1), "{text}");
            assert_eq!(rows.good[0].record.label, "Radio mast");
            assert_eq!(rows.good[0].record.source, "imported");
            assert!(rows.good[0].secret.expose().len() == 3, "{text}");
            assert!(rows.faults.is_empty(), "{text}");
        }
    }

    #[test]
    fn every_fault_is_told_by_its_line() {
        let text = "label,username,password,ssh_port,read_only\n\
                    a,root,one,22,no\n\
                    b,,two,22,no\n\
                    c,root,,22,no\n\
                    d,root,three,70000,no\n\
                    e,root,four,22,perhaps\n\
                    f,root\n\
                    ,root,five,22,no\n\
                    \"g\nh\",root,six,,\n";
        let lines: Vec<u64> = faults(text).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9]);
        let told = faults("label,username,passwort\na,b,c\n");
        assert!(told[0].1.contains("passwort") && told[1].1.contains("password is missing"));
        assert_eq!(faults("")[0].0, 1);
        let told = faults("device,username,password\nnowhere,root,x\n");
        assert!(told[0].1.contains("no authorised device \"nowhere\""), "{told:?}");
    }

    #[test]
    fn two_rows_for_one_account_are_one_too_many() {
        let mut rows = read_text("label,username,password\na,root,1\nb,root,2\na,root,3\n");
        blame_twins(&mut rows);
        assert_eq!((rows.faults.len(), rows.faults[0].line), (1, 4));
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_whole() {
        let long = "a,root,x\n".repeat(ROWS + 1);
        let text = format!("label,username,password\n{long}");
        assert!(read(&text, &Directory::default()).is_err());
        let large = "x".repeat(IMPORT_BYTES + 1);
        assert!(read(&large, &Directory::default()).is_err());
        let text = format!("label,username,password\na,root,{}\n", "p".repeat(4_097));
        assert!(faults(&text)[0].1.contains("4096 bytes"));
    }

    #[test]
    fn no_spreadsheet_takes_a_label_for_a_formula_and_it_comes_back_as_it_was() {
        for text in ["=1+1", "+43 1", "-x", "@SUM(A1)", "'=1", "'", "plain", "", "a=b"] {
            let safe = defused(text);
            assert!(!safe.starts_with(FORMULA), "{text}");
            assert_eq!(plain(&safe), text);
        }
    }
}
