//! What may come in, checked before anything is stored.

use super::CredentialError;
use crate::vault::SecretText;
use crate::vault::protocol::SECRET_BYTES;

/// Characters of a name: an account's, a label.
const NAME_CHARS: usize = 128;
/// Characters of a note.
const NOTE_CHARS: usize = 1_000;

/// Refuses a name that is too long or not one line of text.
pub(super) fn check_name(what: &str, text: &str) -> Result<(), CredentialError> {
    if text.chars().count() > NAME_CHARS {
        let told = format!("the {what} is too long; it may have {NAME_CHARS} characters");
        return Err(CredentialError::Form(told));
    }
    if text.chars().any(|letter| letter.is_control() || turns(letter)) {
        let told = format!("the {what} must be one line of text, without control characters");
        return Err(CredentialError::Form(told));
    }
    Ok(())
}

/// Refuses a note that is too long. It may have several lines.
pub(super) fn check_note(text: &str) -> Result<(), CredentialError> {
    if text.chars().count() > NOTE_CHARS {
        let told = format!("the note is too long; it may have {NOTE_CHARS} characters");
        return Err(CredentialError::Form(told));
    }
    if text.chars().any(|letter| letter.is_control() && letter != '\n' || turns(letter)) {
        let told = "the note must be plain text, without control characters";
        return Err(CredentialError::Form(told.to_owned()));
    }
    Ok(())
}

/// Refuses a secret that no device could take.
pub(super) fn check_secret(secret: &SecretText) -> Result<(), CredentialError> {
    let secret = secret.expose();
    if secret.is_empty() {
        return Err(CredentialError::Form("the password is empty".to_owned()));
    }
    if secret.len() > SECRET_BYTES {
        let told = format!("the password is too long; it may have {SECRET_BYTES} bytes");
        return Err(CredentialError::Form(told));
    }
    if secret.chars().any(char::is_control) {
        let told = "the password has control characters in it, such as the end of a line";
        return Err(CredentialError::Form(told.to_owned()));
    }
    Ok(())
}

/// Turns the direction of what follows, so that a name reads as another one.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
