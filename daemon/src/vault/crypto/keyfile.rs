//! The key file: text that a person reads, prints and keeps, and that opens the vault.
//!
//! It says what it is and how it is used, shows the 24 words, and ends with lines for the machine
//! between two marks. Those carry everything once more with a checksum, so that a damaged file is
//! told from one of another appliance. Where they are lost, the words still do.

mod read;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::read::{master, parse};
use super::{KeyFault, Master, sweep};
use crate::vault::SecretText;

const TITLE: &str = "AERIE KEY FILE";
const BEGIN: &str = "-----BEGIN AERIE KEY FILE-----";
const END: &str = "-----END AERIE KEY FILE-----";
const FORMAT: &str = "1";
/// Letters of an appliance's name that a key file keeps.
const NAME_LETTERS: usize = 128;
/// Letters of the machine's form of the name in one line, so that no mail program breaks it.
const NAME_LINE: usize = 56;
/// Bytes of the checksum: it finds accidents, the vault itself finds the rest.
const CHECK_BYTES: usize = 12;
/// A key file as it is written is no longer than this.
const WRITTEN_BYTES: usize = 4 * 1024;

/// What a key file says.
pub struct KeyFile {
    /// Whose key it is.
    pub vault: Uuid,
    /// The number of the key pair.
    pub epoch: u32,
    /// The appliance that it was made on.
    pub appliance: String,
    /// When it was made.
    pub created: Timestamp,
    /// The master password.
    pub master: Master,
}

impl KeyFile {
    /// Says that it belongs to this vault and its key pair, or what it belongs to.
    pub fn belongs(&self, vault: Uuid, epoch: u32) -> Result<(), KeyFault> {
        if self.vault != vault {
            let appliance = self.appliance.clone();
            return Err(KeyFault::OtherVault { theirs: self.vault, appliance });
        }
        if self.epoch != epoch {
            return Err(KeyFault::OtherEpoch { theirs: self.epoch, ours: epoch });
        }
        Ok(())
    }
}

/// Writes a key file. The same fields give the same text.
pub fn write(file: &KeyFile) -> SecretText {
    let mut text = Zeroizing::new(String::with_capacity(WRITTEN_BYTES));
    let name = kept(&file.appliance);
    let printed: String =
        name.chars().map(|letter| if letter.is_ascii() { letter } else { '?' }).collect();
    let made = file.created.strftime("%Y-%m-%d %H:%M UTC").to_string();
    for line in [
        TITLE,
        "==============",
        "",
        "This file opens the credentials vault of the appliance named below. Whoever",
        "has it and the appliance can read every password in that vault.",
        "",
        &format!("Appliance: {printed}"),
        &format!("Vault:     {}", file.vault),
        &format!("Key pair:  {}", file.epoch),
        &format!("Made:      {made}"),
        "",
        "How to use it",
        "  1. Open the appliance in a browser: Settings, Credentials vault.",
        "  2. Choose \"Unseal\", and give it this file or type the 24 words below.",
        "  3. The vault stays open until the appliance starts anew.",
        "",
        "What never to do",
        "  - Never keep the only copy on the appliance. If it is lost, nobody opens the",
        "    vault again, not even who made the appliance. Print it, put it in a safe.",
        "  - Never send it by mail or chat, and never give it to another web page.",
        "  - Never change a line of it.",
        "",
        "The master password in words",
    ] {
        text.push_str(line);
        text.push('\n');
    }
    words(&mut text, &file.master);
    text.push_str("\nFor the machine\n");
    machine(&mut text, file, &name);
    SecretText::new(std::mem::take(&mut *text))
}

/// Six rows of four words, each with its number.
fn words(text: &mut String, master: &Master) {
    for (place, word) in master.each_word().enumerate() {
        let number = place + 1;
        text.push_str(if number < 10 { "   " } else { "  " });
        text.push_str(&number.to_string());
        text.push(' ');
        text.push_str(word);
        if number % 4 == 0 {
            text.push('\n');
        } else {
            text.extend(std::iter::repeat_n(' ', 9_usize.saturating_sub(word.len())));
        }
    }
}

fn machine(text: &mut String, file: &KeyFile, name: &str) {
    let start = text.len() + BEGIN.len() + 1;
    for line in [
        BEGIN,
        &format!("Format: {FORMAT}"),
        &format!("Vault: {}", file.vault),
        &format!("Key-Pair: {}", file.epoch),
        &format!("Made: {}", file.created),
    ] {
        text.push_str(line);
        text.push('\n');
    }
    let mut letters = URL_SAFE_NO_PAD.encode(name);
    while !letters.is_empty() {
        let rest = letters.split_off(letters.len().min(NAME_LINE));
        text.push_str("Appliance: ");
        text.push_str(&letters);
        text.push('\n');
        letters = rest;
    }
    text.push_str("Password: ");
    text.push_str(file.master.line().expose());
    text.push('\n');
    let check = check(text.get(start..).unwrap_or_default().lines());
    text.push_str("Check: ");
    text.push_str(&check);
    text.push('\n');
    text.push_str(END);
    text.push('\n');
}

/// The checksum over the machine's lines before it.
fn check<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new_with_prefix("aerie key file\n");
    for line in lines {
        hash.update(line);
        hash.update("\n");
    }
    let hash = hash.finalize();
    sweep();
    URL_SAFE_NO_PAD.encode(hash.get(..CHECK_BYTES).unwrap_or_default())
}

/// What of a name is kept: one line, and not endless.
fn kept(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(NAME_LETTERS).collect()
}
