//! What the two processes say to each other: one datagram a message, numbers big-endian.
//!
//! The list of [`Verb`]s is closed and short on purpose: it is all that a worker in a stranger's
//! hands can ask of root. Each has one length, and anything else is no verb.

use std::time::Duration;

use aerie_protocol::key::{DeviceKey, MAX_KEY_BYTES};
use zeroize::Zeroizing;

use super::SeparationError;
use crate::{
    host::LONGEST_LOCATE,
    terminal::{Exit, WindowSize},
};

/// Bytes of the longest verb.
pub(super) const LONGEST_VERB: usize = 9;
/// Bytes of the longest text in a notice.
const LONGEST_TEXT: usize = 512;
/// Bytes of the longest notice, which is [`Notice::Begin`] with the longest key.
pub(super) const LONGEST_NOTICE: usize = 8 + LONGEST_TEXT + MAX_KEY_BYTES;

/// What the worker can ask of root. The worker chooses the numbers; a terminal keeps the number of
/// the verb that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    pub(super) const BEGIN: u8 = 65;
    pub(super) const OPENED: u8 = 66;
    pub(super) const DONE: u8 = 67;
    pub(super) const NOT_ALLOWED: u8 = 68;
    pub(super) const FAILED: u8 = 69;
    pub(super) const ENDED: u8 = 70;
    pub(super) const STOP: u8 = 71;
}

impl Verb {
    pub(super) fn encode(self) -> Vec<u8> {
        match self {
            Self::OpenTerminal { id, size } => {
                let mut bytes = numbered(tag::OPEN_TERMINAL, id);
                bytes.extend(size.rows.to_be_bytes());
                bytes.extend(size.columns.to_be_bytes());
                bytes
            }
            Self::HangUp { id } => numbered(tag::HANG_UP, id),
            Self::Kill { id } => numbered(tag::KILL, id),
            Self::Restart { id } => numbered(tag::RESTART, id),
            Self::Locate { id, duration } => {
                let seconds = duration.map_or(0, |duration| duration.as_secs().max(1));
                let mut bytes = numbered(tag::LOCATE, id);
                bytes.extend(u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
                bytes
            }
        }
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
        let mut bytes = Vec::with_capacity(LONGEST_NOTICE);
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

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or_default()
}

fn text(bytes: &[u8]) -> Result<String, SeparationError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| SeparationError::Nonsense)
}

/// What is left of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], SeparationError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SeparationError::Nonsense)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SeparationError> {
        self.take(N)?.try_into().map_err(|_| SeparationError::Nonsense)
    }

    fn byte(&mut self) -> Result<u8, SeparationError> {
        self.array().map(u8::from_be_bytes)
    }

    fn short(&mut self) -> Result<u16, SeparationError> {
        self.array().map(u16::from_be_bytes)
    }

    fn long(&mut self) -> Result<u32, SeparationError> {
        self.array().map(u32::from_be_bytes)
    }

    fn text_to_the_end(&mut self) -> Result<String, SeparationError> {
        text(std::mem::take(&mut self.0))
    }

    fn end(&self) -> Result<(), SeparationError> {
        if self.0.is_empty() { Ok(()) } else { Err(SeparationError::Nonsense) }
    }
}

#[cfg(test)]
mod tests {
    use aerie_protocol::key::KeySecret;

    use super::*;

    const SIZE: WindowSize = WindowSize { rows: 24, columns: 80 };

    fn verbs() -> [Verb; 6] {
        [
            Verb::OpenTerminal { id: 1, size: SIZE },
            Verb::HangUp { id: u32::MAX },
            Verb::Kill { id: 0 },
            Verb::Restart { id: 7 },
            Verb::Locate { id: 8, duration: None },
            Verb::Locate { id: 9, duration: Some(Duration::from_mins(1)) },
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
        let known = [1, 2, 3, 4, 5];
        for tag in (0..=u8::MAX).filter(|tag| !known.contains(tag)) {
            for length in 0..=LONGEST_VERB {
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
    fn long_texts_are_cut_between_two_characters() {
        let reason = "é".repeat(LONGEST_TEXT);
        let bytes = Notice::Failed { id: 1, reason }.encode();
        let Notice::Failed { reason, .. } = Notice::decode(&bytes).unwrap() else { panic!() };
        assert_eq!(reason, "é".repeat(LONGEST_TEXT / 2));
    }
}
