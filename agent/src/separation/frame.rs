//! What the two processes say to each other: one datagram a message, numbers big-endian.
//!
//! The list of [`Verb`]s is closed and short on purpose: it is all that a worker in a stranger's
//! hands can ask of root. Each has one length, which those about passwords state in front, and
//! anything else is no verb.

use std::time::Duration;

use aerie_protocol::{
    inform::HeldPassword,
    key::{DeviceKey, MAX_KEY_BYTES},
};
use zeroize::Zeroizing;

use super::{
    SeparationError,
    passwords::{self, PasswordVerb},
};
use crate::{
    host::LONGEST_LOCATE,
    passwords::PasswordError,
    terminal::{Exit, WindowSize},
};

/// Bytes of a verb before what is in it: tag and number.
const HEAD: usize = 5;
/// Bytes of the longest verb, which is [`PasswordVerb::Set`].
pub(super) const LONGEST_VERB: usize = HEAD + passwords::LONGEST_SET;
/// Bytes of the longest text in a notice.
const LONGEST_TEXT: usize = 512;
/// Bytes of the longest [`Notice::Begin`].
const LONGEST_BEGIN: usize = 8 + LONGEST_TEXT + MAX_KEY_BYTES;
/// Bytes of the longest notice, which is [`Notice::Held`] with every account.
pub(super) const LONGEST_NOTICE: usize = HEAD + passwords::LONGEST_HELD;

/// What the worker can ask of root. The worker chooses the numbers; a terminal keeps the number of
/// the verb that opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    OpenTerminal {
        id: u32,
        size: WindowSize,
    },
    HangUp {
        id: u32,
    },
    Kill {
        id: u32,
    },
    Restart {
        id: u32,
    },
    /// No duration: no longer.
    Locate {
        id: u32,
        duration: Option<Duration>,
    },
    Passwords {
        id: u32,
        verb: PasswordVerb,
    },
}

/// What root tells the worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The first one, once.
    Begin(Begin),
    /// A terminal is open; its line comes along as a descriptor.
    Opened { id: u32 },
    /// It was done.
    Done { id: u32 },
    /// The device's own policy says no.
    NotAllowed { id: u32 },
    /// It was tried, or is known to be of no use here.
    Failed { id: u32, reason: String },
    /// The program in a terminal has ended.
    Ended { id: u32, exit: Exit },
    /// What accounts have, as asked for or after a change.
    Held { id: u32, held: Vec<HeldPassword> },
    /// A password was not set, not tried, or not told.
    Refused { id: u32, error: PasswordError },
    /// Say goodbye to the appliance and end.
    Stop,
}

/// What the worker has to know and cannot find out, or must not decide, by itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Begin {
    /// The key of the command line.
    pub(super) key: Option<DeviceKey>,
    /// The machine's serial number; empty without one.
    pub(super) serial_number: String,
    /// Whether a terminal has a chance: for the identity. Root decides again when it is asked.
    pub(super) terminal: bool,
    /// Whether a restart has a chance: asked before the appliance is told "done".
    pub(super) restart: bool,
}

mod tag {
    pub(super) const OPEN_TERMINAL: u8 = 1;
    pub(super) const HANG_UP: u8 = 2;
    pub(super) const KILL: u8 = 3;
    pub(super) const RESTART: u8 = 4;
    pub(super) const LOCATE: u8 = 5;
    pub(super) const HELD_PASSWORDS: u8 = 6;
    pub(super) const SET_PASSWORD: u8 = 7;
    pub(super) const TRY_PASSWORD: u8 = 8;

    pub(super) const BEGIN: u8 = 65;
    pub(super) const OPENED: u8 = 66;
    pub(super) const DONE: u8 = 67;
    pub(super) const NOT_ALLOWED: u8 = 68;
    pub(super) const FAILED: u8 = 69;
    pub(super) const ENDED: u8 = 70;
    pub(super) const STOP: u8 = 71;
    pub(super) const HELD: u8 = 72;
    pub(super) const REFUSED: u8 = 73;
}

impl Verb {
    /// Wiped after use, since some of them hold a password.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::OpenTerminal { id, size } => {
                let mut bytes = numbered(tag::OPEN_TERMINAL, *id);
                bytes.extend(size.rows.to_be_bytes());
                bytes.extend(size.columns.to_be_bytes());
                bytes
            }
            Self::HangUp { id } => numbered(tag::HANG_UP, *id),
            Self::Kill { id } => numbered(tag::KILL, *id),
            Self::Restart { id } => numbered(tag::RESTART, *id),
            Self::Locate { id, duration } => {
                let seconds = duration.map_or(0, |duration| duration.as_secs().max(1));
                let mut bytes = numbered(tag::LOCATE, *id);
                bytes.extend(u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
                bytes
            }
            Self::Passwords { id, verb: PasswordVerb::Held } => numbered(tag::HELD_PASSWORDS, *id),
            Self::Passwords { id, verb: PasswordVerb::Set(set) } => {
                let mut bytes = roomy(tag::SET_PASSWORD, *id, LONGEST_VERB);
                passwords::encode_set(set, &mut bytes);
                bytes
            }
            Self::Passwords { id, verb: PasswordVerb::Try(tried) } => {
                let mut bytes = roomy(tag::TRY_PASSWORD, *id, LONGEST_VERB);
                passwords::encode_tried(tried, &mut bytes);
                bytes
            }
        })
    }

    /// Reads what may come from a stranger: sizes and times are cut to what makes sense.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SeparationError> {
        let mut rest = Reader(bytes);
        let tag = rest.byte()?;
        let id = rest.long()?;
        let verb = match tag {
            tag::OPEN_TERMINAL => {
                let (rows, columns) = (rest.short()?, rest.short()?);
                Self::OpenTerminal { id, size: WindowSize::from_wire(rows.into(), columns.into()) }
            }
            tag::HANG_UP => Self::HangUp { id },
            tag::KILL => Self::Kill { id },
            tag::RESTART => Self::Restart { id },
            tag::LOCATE => {
                let seconds = rest.long()?.min(LONGEST_LOCATE);
                let duration = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                Self::Locate { id, duration }
            }
            tag::HELD_PASSWORDS => Self::Passwords { id, verb: PasswordVerb::Held },
            tag::SET_PASSWORD => {
                let set = passwords::decode_set(&mut rest)?;
                Self::Passwords { id, verb: PasswordVerb::Set(set) }
            }
            tag::TRY_PASSWORD => {
                let tried = passwords::decode_tried(&mut rest)?;
                Self::Passwords { id, verb: PasswordVerb::Try(tried) }
            }
            _ => return Err(SeparationError::Nonsense),
        };
        rest.end()?;
        Ok(verb)
    }
}

impl Notice {
    /// Wiped after use, since one of them holds a key.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Begin(begin) => begin.encode(),
            Self::Opened { id } => numbered(tag::OPENED, *id),
            Self::Done { id } => numbered(tag::DONE, *id),
            Self::NotAllowed { id } => numbered(tag::NOT_ALLOWED, *id),
            Self::Failed { id, reason } => {
                let mut bytes = numbered(tag::FAILED, *id);
                bytes.extend(cut(reason).as_bytes());
                bytes
            }
            Self::Ended { id, exit } => {
                let mut bytes = numbered(tag::ENDED, *id);
                bytes.extend(exit.status().map(i32::to_be_bytes).into_iter().flatten());
                bytes
            }
            Self::Stop => vec![tag::STOP],
            Self::Held { id, held } => {
                let mut bytes = numbered(tag::HELD, *id);
                passwords::encode_held(held, &mut bytes);
                bytes
            }
            Self::Refused { id, error } => {
                let mut bytes = numbered(tag::REFUSED, *id);
                passwords::encode_error(error, &mut bytes);
                bytes
            }
        })
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, SeparationError> {
        let mut rest = Reader(bytes);
        let notice = match rest.byte()? {
            tag::BEGIN => Self::Begin(Begin::decode(&mut rest)?),
            tag::OPENED => Self::Opened { id: rest.long()? },
            tag::DONE => Self::Done { id: rest.long()? },
            tag::NOT_ALLOWED => Self::NotAllowed { id: rest.long()? },
            tag::FAILED => Self::Failed { id: rest.long()?, reason: rest.text_to_the_end()? },
            tag::ENDED => {
                let id = rest.long()?;
                let exit = if rest.0.is_empty() {
                    Exit::Signal
                } else {
                    Exit::Status(rest.long()?.cast_signed())
                };
                Self::Ended { id, exit }
            }
            tag::STOP => Self::Stop,
            tag::HELD => Self::Held { id: rest.long()?, held: passwords::decode_held(&mut rest)? },
            tag::REFUSED => {
                Self::Refused { id: rest.long()?, error: passwords::decode_error(&mut rest)? }
            }
            _ => return Err(SeparationError::Nonsense),
        };
        rest.end()?;
        Ok(notice)
    }
}

impl Begin {
    fn encode(&self) -> Vec<u8> {
        let serial_number = cut(&self.serial_number);
        let key = self.key.as_ref().map(DeviceKey::write).unwrap_or_default();
        // Enough at once: a buffer that grows leaves copies of the key behind.
        let mut bytes = Vec::with_capacity(LONGEST_BEGIN);
        bytes.extend([tag::BEGIN, self.terminal.into(), self.restart.into()]);
        bytes.extend(u16::try_from(serial_number.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(serial_number.as_bytes());
        bytes.extend(key.as_bytes());
        bytes
    }

    fn decode(rest: &mut Reader<'_>) -> Result<Self, SeparationError> {
        let (terminal, restart) = (rest.byte()? != 0, rest.byte()? != 0);
        let length = rest.short()?;
        let serial_number = text(rest.take(length.into())?)?;
        let key = Zeroizing::new(rest.text_to_the_end()?);
        let key = (!key.is_empty()).then(|| DeviceKey::parse(&key)).transpose();
        let key = key.map_err(|_| SeparationError::Nonsense)?;
        Ok(Self { key, serial_number, terminal, restart })
    }
}

fn numbered(tag: u8, id: u32) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(id.to_be_bytes());
    bytes
}

/// Enough at once: a buffer that grows leaves copies of a password behind.
fn roomy(tag: u8, id: u32, longest: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(longest);
    bytes.push(tag);
    bytes.extend(id.to_be_bytes());
    bytes
}

pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or_default()
}

pub(super) fn text(bytes: &[u8]) -> Result<String, SeparationError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| SeparationError::Nonsense)
}

/// What is left of a message.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], SeparationError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SeparationError::Nonsense)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SeparationError> {
        self.take(N)?.try_into().map_err(|_| SeparationError::Nonsense)
    }

    pub(super) fn byte(&mut self) -> Result<u8, SeparationError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn short(&mut self) -> Result<u16, SeparationError> {
        self.array().map(u16::from_be_bytes)
    }

    fn long(&mut self) -> Result<u32, SeparationError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn huge(&mut self) -> Result<u64, SeparationError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn text_to_the_end(&mut self) -> Result<String, SeparationError> {
        text(std::mem::take(&mut self.0))
    }

    fn end(&self) -> Result<(), SeparationError> {
        if self.0.is_empty() { Ok(()) } else { Err(SeparationError::Nonsense) }
    }
}

#[cfg(test)]
mod tests {
    use aerie_protocol::{
        inform::{
            MAX_ACCOUNT_BYTES, MAX_PASSWORD_BYTES, MAX_SEALED_BYTES, SetPassword, TryPassword,
        },
        key::KeySecret,
    };

    use super::*;

    const SIZE: WindowSize = WindowSize { rows: 24, columns: 80 };

    fn set() -> SetPassword {
        SetPassword {
            account: "admin".to_owned(),
            credential_id: (0..16).collect(),
            version: u64::MAX,
            password: "pa\u{df}word".into(),
            sealed: vec![9; 200],
        }
    }

    fn verbs() -> Vec<Verb> {
        let tried = TryPassword { account: "admin".to_owned(), password: b"guess".to_vec() };
        vec![
            Verb::OpenTerminal { id: 1, size: SIZE },
            Verb::HangUp { id: u32::MAX },
            Verb::Kill { id: 0 },
            Verb::Restart { id: 7 },
            Verb::Locate { id: 8, duration: None },
            Verb::Locate { id: 9, duration: Some(Duration::from_mins(1)) },
            Verb::Passwords { id: 10, verb: PasswordVerb::Held },
            Verb::Passwords { id: 11, verb: PasswordVerb::Set(set()) },
            Verb::Passwords { id: 12, verb: PasswordVerb::Try(tried) },
        ]
    }

    fn notices() -> Vec<Notice> {
        let key = DeviceKey {
            host: "box.example".to_owned(),
            port: 443,
            secret: KeySecret::from_bytes(&[7; 36]).unwrap(),
            allow_untrusted: true,
            pin: None,
        };
        let serial_number = "SN-é".to_owned();
        vec![
            Notice::Begin(Begin::default()),
            Notice::Begin(Begin { key: Some(key), serial_number, terminal: true, restart: false }),
            Notice::Opened { id: 1 },
            Notice::Done { id: 2 },
            Notice::NotAllowed { id: 3 },
            Notice::Failed { id: 4, reason: "the light is broken".to_owned() },
            Notice::Ended { id: 5, exit: Exit::Status(-1) },
            Notice::Ended { id: 6, exit: Exit::Signal },
            Notice::Stop,
            Notice::Held { id: 7, held: Vec::new() },
            Notice::Held {
                id: 8,
                held: vec![
                    HeldPassword { account: "root".to_owned(), ..HeldPassword::default() },
                    HeldPassword {
                        account: "a".repeat(MAX_ACCOUNT_BYTES),
                        credential_id: vec![7; 16],
                        version: 4,
                        newest: 5,
                        sealed: vec![1; MAX_SEALED_BYTES],
                    },
                ],
            },
            Notice::Refused { id: 9, error: PasswordError::Wrong },
            Notice::Refused { id: 9, error: PasswordError::Outdated { newest: 9 } },
            Notice::Refused { id: 9, error: PasswordError::NotAllowed("no".to_owned()) },
            Notice::Refused { id: 9, error: PasswordError::Failed("broken".to_owned()) },
            Notice::Refused { id: 9, error: PasswordError::Busy("later".to_owned()) },
        ]
    }

    #[test]
    fn what_is_said_is_understood() {
        for verb in verbs() {
            let bytes = verb.encode();
            assert!(bytes.len() <= LONGEST_VERB);
            assert_eq!(Verb::decode(&bytes).unwrap(), verb);
        }
        for notice in notices() {
            let bytes = notice.encode();
            assert!(bytes.len() <= LONGEST_NOTICE);
            assert_eq!(Notice::decode(&bytes).unwrap(), notice);
        }
    }

    #[test]
    fn a_verb_has_one_length_and_nothing_else_is_a_verb() {
        for verb in verbs() {
            let bytes = verb.encode();
            for length in 0..bytes.len() {
                Verb::decode(&bytes[..length]).unwrap_err();
            }
            Verb::decode(&[bytes.as_slice(), &[0]].concat()).unwrap_err();
        }
        for tag in (0..=u8::MAX).filter(|tag| !(1..=8).contains(tag)) {
            for length in 0..=32 {
                Verb::decode(&[vec![tag], vec![0; length]].concat()).unwrap_err();
            }
        }
    }

    #[test]
    fn no_verb_asks_for_more_than_makes_sense() {
        let huge = Verb::decode(&[1, 0, 0, 0, 1, 0xff, 0xff, 0, 0]).unwrap();
        let size = WindowSize { rows: 1000, columns: 1 };
        assert_eq!(huge, Verb::OpenTerminal { id: 1, size });
        let forever = Verb::decode(&[5, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).unwrap();
        let hour = Some(Duration::from_hours(1));
        assert_eq!(forever, Verb::Locate { id: 1, duration: hour });
    }

    #[test]
    fn v4_no_field_of_a_password_is_longer_than_it_may_be() {
        let longest = |account, password, sealed| {
            let mut set = set();
            set.account = "a".repeat(account);
            set.password = vec![b'p'; password];
            set.sealed = vec![0; sealed];
            Verb::Passwords { id: 1, verb: PasswordVerb::Set(set) }.encode()
        };
        let (account, password, sealed) = (MAX_ACCOUNT_BYTES, MAX_PASSWORD_BYTES, MAX_SEALED_BYTES);
        let bytes = longest(account, password, sealed);
        assert_eq!(bytes.len(), LONGEST_VERB);
        Verb::decode(&bytes).unwrap();
        for bytes in
            [longest(account + 1, 1, 1), longest(1, password + 1, 1), longest(1, 1, sealed + 1)]
        {
            Verb::decode(&bytes).unwrap_err();
        }
    }

    #[test]
    fn long_texts_are_cut_between_two_characters() {
        let reason = "é".repeat(LONGEST_TEXT);
        let bytes = Notice::Failed { id: 1, reason }.encode();
        let Notice::Failed { reason, .. } = Notice::decode(&bytes).unwrap() else { panic!() };
        assert_eq!(reason, "é".repeat(LONGEST_TEXT / 2));
    }
}
