//! Peppers: what a password hash needs besides the store.
//!
//! Each has a name, and each hash names its own, so that a lost pepper is told from a wrong
//! password. New hashes use the last one.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::keyfile::{KEY_BYTES, write_private};
use super::{SealError, random};

/// One pepper.
pub struct Pepper {
    /// By which hashes name it.
    pub id: String,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl Pepper {
    /// The secret bytes.
    pub fn key(&self) -> &[u8] {
        self.key.as_slice()
    }
}

/// All peppers of this machine, the newest last. Never empty.
#[derive(Clone)]
pub struct Peppers {
    all: Arc<[Pepper]>,
}

impl Peppers {
    pub(super) fn open(data_dir: &Path) -> Result<Self, SealError> {
        let path = data_dir.join("peppers");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let line = format!(
                    "{} {}\n",
                    URL_SAFE_NO_PAD.encode(random::<6>()?),
                    URL_SAFE_NO_PAD.encode(random::<KEY_BYTES>()?)
                );
                write_private(&path, line.as_bytes())?;
                Zeroizing::new(line)
            }
            Err(source) => return Err(SealError::KeyFile { path, source }),
        };
        let all: Option<Vec<Pepper>> = text.lines().map(parse).collect();
        match all {
            Some(all) if !all.is_empty() => Ok(Self { all: all.into() }),
            _ => Err(SealError::KeyForm(path)),
        }
    }

    /// The one for new hashes.
    pub fn newest(&self) -> Option<&Pepper> {
        self.all.last()
    }

    /// The one that a hash names.
    pub fn by_id(&self, id: &str) -> Option<&Pepper> {
        self.all.iter().find(|pepper| pepper.id == id)
    }
}

fn parse(line: &str) -> Option<Pepper> {
    let (id, key) = line.split_once(' ')?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    let length = URL_SAFE_NO_PAD.decode_slice(key.trim(), bytes.as_mut_slice()).ok()?;
    (length == KEY_BYTES).then(|| Pepper { id: id.to_owned(), key: bytes })
}
