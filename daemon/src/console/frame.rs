//! Frames: four bytes of length, and that much JSON.

use std::io::{Error, ErrorKind, Result};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

/// Bytes of a question.
pub(super) const QUESTION_BYTES: u32 = 16 * 1024;
/// Bytes of an answer: a list of thousands of accounts.
pub(super) const ANSWER_BYTES: u32 = 4 * 1024 * 1024;

/// Reads a frame of at most `bound` bytes.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut UnixStream, bound: u32) -> Result<T> {
    let length = stream.read_u32().await?;
    if length > bound {
        return Err(Error::new(ErrorKind::InvalidData, "a frame that is too long"));
    }
    let length = usize::try_from(length).map_err(Error::other)?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut bytes).await?;
    serde_json::from_slice(&bytes).map_err(Error::from)
}

/// Writes a frame of at most `bound` bytes.
pub(super) async fn write(
    stream: &mut UnixStream,
    value: &impl Serialize,
    bound: u32,
) -> Result<()> {
    let bytes = Zeroizing::new(serde_json::to_vec(value)?);
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= bound);
    let length =
        length.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "it is longer than a frame"))?;
    stream.write_u32(length).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}
