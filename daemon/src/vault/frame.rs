//! Frames: four bytes of length, and that much `MessagePack`. Buffers are wiped.
//!
//! Each question carries a number, and its answer the same one: what is slow to answer holds up
//! nothing else.

use std::io::{Error, ErrorKind, Result, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::protocol::{AT_ONCE, Answer, GRANTED, Question, SECRET_BYTES, Status};

/// Bytes of a frame: so many secrets at once, or the credentials of the largest grant, and what goes
/// with them.
pub(super) const FRAME_BYTES: usize = if AT_ONCE * (SECRET_BYTES + 512) > GRANTED * 20 {
    AT_ONCE * (SECRET_BYTES + 512)
} else {
    GRANTED * 20
};
/// Bytes of a buffer to begin with.
const FIRST: usize = 4_096;

/// A question with its number.
#[derive(Serialize, Deserialize)]
pub(super) struct Asking {
    pub(super) number: u64,
    pub(super) question: Question,
}

/// The answer to the question of that number.
#[derive(Serialize, Deserialize)]
pub(super) struct Answering {
    pub(super) number: u64,
    pub(super) answer: Answer,
    /// How the vault is, where it is not any more as this connection was last told.
    pub(super) status: Option<Status>,
}

/// Reads a frame.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<T> {
    let length = usize::try_from(stream.read_u32().await?).map_err(Error::other)?;
    if length > FRAME_BYTES {
        return Err(Error::new(ErrorKind::InvalidData, "a frame that is too long"));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut bytes).await?;
    rmp_serde::from_slice(&bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// Writes a frame.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &impl Serialize,
) -> Result<()> {
    let mut bytes = Wiped(Zeroizing::new(Vec::with_capacity(FIRST)));
    rmp_serde::encode::write_named(&mut bytes, value).map_err(Error::other)?;
    let length = u32::try_from(bytes.0.len()).map_err(Error::other)?;
    stream.write_u32(length).await?;
    stream.write_all(&bytes.0).await?;
    stream.flush().await
}

/// A buffer that wipes what it leaves behind when it grows.
struct Wiped(Zeroizing<Vec<u8>>);

impl Write for Wiped {
    fn write(&mut self, more: &[u8]) -> Result<usize> {
        let length = self.0.len() + more.len();
        if length > FRAME_BYTES {
            return Err(Error::new(ErrorKind::InvalidInput, "it is longer than a frame"));
        }
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(self.0.capacity() * 2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
