//! What is wrong with a key that somebody gave. Each is a sentence for people: what it is, and what
//! to do.

use thiserror::Error;
use uuid::Uuid;

use super::CryptoError;

/// Why a master password, key file or share does not do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// A word that is not in the list.
    #[error("word {place}, \"{word}\", is not in the list{}", offer(near))]
    Word {
        /// Its place, from 1.
        place: usize,
        /// As it was given, cut to what a word may be.
        word: String,
        /// Words of the list that look like it.
        near: Vec<&'static str>,
    },
    /// Not 24 of them.
    #[error("a master password has 24 words, and these are {got}; compare them with the key file")]
    WordCount {
        /// So many.
        got: usize,
    },
    /// 24 words of the list that were not made together.
    #[error(
        "all 24 words are in the list, but they do not belong together: one is not the one in the \
         key file, or two have changed places; compare them one by one"
    )]
    Checksum,
    /// The password in one line has a letter too many, too few or a wrong one.
    #[error(
        "the master password in one line has 43 letters, digits, - and _; copy it again from the \
         key file, or type the 24 words"
    )]
    OneLine,
    /// More text than any key.
    #[error("this is too much text for a master password, a key file or a share")]
    TooLong,
    /// Something else.
    #[error("this is no key file of a vault; one begins with \"AERIE KEY FILE\"")]
    NotAKeyFile,
    /// A key file whose end, or beginning, is missing.
    #[error(
        "a part of the key file is missing: it was cut off; take another copy, or type its 24 words"
    )]
    Truncated,
    /// A key file that is not as it was written.
    #[error(
        "the key file is damaged in line {line}; take another copy, or type the 24 words from the \
         printout"
    )]
    Damaged {
        /// Which, from 1.
        line: usize,
    },
    /// A key file of a later version.
    #[error("the key file is of a newer version than this appliance; update the appliance first")]
    Newer,
    /// A good key of another vault.
    #[error(
        "the key file is good, but of another vault: of the appliance \"{appliance}\" (vault \
         {theirs}); take the one of this appliance"
    )]
    OtherVault {
        /// That vault.
        theirs: Uuid,
        /// The appliance that it was made on.
        appliance: String,
    },
    /// A good key of this vault's former key pair.
    #[error(
        "the key file is of key pair {theirs} of this vault, which now has key pair {ours}; it \
         opens backups from before only, take the newer one"
    )]
    OtherEpoch {
        /// That key pair.
        theirs: u32,
        /// The one in use.
        ours: u32,
    },
    /// In good form, but not what the vault was closed with.
    #[error(
        "this is a master password in good form, but not this vault's; take the key file of this \
         appliance, the newest if there are several"
    )]
    Wrong,
    /// Not a share.
    #[error("this is no share of a master password; one begins with \"aerie-share-1\"")]
    NotAShare,
    /// A share with something missing or too much.
    #[error("the share has {got} groups of letters, and 15 belong to it; copy it whole")]
    ShareLength {
        /// So many.
        got: usize,
    },
    /// A share with a wrong letter.
    #[error("the share is damaged in group {group}, \"{text}\"; compare it with the paper")]
    ShareGroup {
        /// Which group of letters, from 1.
        group: usize,
        /// As it was given, cut to what a group may be.
        text: String,
    },
    /// A share whose first lines were changed, or whose letters changed places.
    #[error(
        "the share is damaged: one of its first lines, or two letters that changed places; compare \
         it with the paper"
    )]
    ShareHead,
    /// A good share of another vault.
    #[error("the share is good, but of another vault ({theirs}); this one is {ours}")]
    ShareOfOtherVault {
        /// That vault, in short.
        theirs: String,
        /// This one.
        ours: String,
    },
    /// A good share of another split.
    #[error(
        "the share is of set {theirs}, and the vault goes by set {ours}; take the newer shares"
    )]
    ShareOfOtherSet {
        /// That split.
        theirs: u32,
        /// The one in use.
        ours: u32,
    },
    /// Given twice.
    #[error("share {number} was given already; give another one")]
    ShareTwice {
        /// Which.
        number: u8,
    },
    /// Too few to open anything.
    #[error("{given} of {needed} shares were given; more are needed")]
    SharesMissing {
        /// So many.
        given: usize,
        /// Of so many.
        needed: u8,
    },
    /// They were not made together.
    #[error("these shares do not belong together; take all of them from one splitting")]
    SharesDisagree,
    /// Nothing is wrong with the key.
    #[error(transparent)]
    Failed(#[from] CryptoError),
}

fn offer(near: &[&str]) -> String {
    match near.split_last() {
        None => "; compare it with the key file".to_owned(),
        Some((last, [])) => format!("; did you mean {last}?"),
        Some((last, rest)) => format!("; did you mean {} or {last}?", rest.join(", ")),
    }
}

/// What somebody gave, fit to be shown back to them: short, and without what is no letter.
pub(super) fn shown(text: &str, most: usize) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(most).collect()
}
