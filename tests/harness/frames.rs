//! WebSocket frames as bytes: enough to look at them, pass them on and make wrong ones.

use tokio::io::{AsyncRead, AsyncReadExt};

/// One frame as it was on the wire, and its payload in the clear.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The first byte: FIN, reserved bits, opcode.
    pub first: u8,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
    /// Exactly what came over the wire.
    pub wire: Vec<u8>,
}

impl Frame {
    /// Reads one frame; nothing at the end of the stream.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut wire = vec![0; 2];
        stream.read_exact(&mut wire).await.ok()?;
        let masked = wire[1] & 0x80 != 0;
        let more = match wire[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let length_end = 2 + more;
        let head_end = length_end + if masked { 4 } else { 0 };
        wire.resize(head_end, 0);
        stream.read_exact(&mut wire[2..]).await.ok()?;
        let length = if more == 0 {
            usize::from(wire[1] & 0x7f)
        } else {
            wire[2..length_end].iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte))
        };
        wire.resize(head_end + length, 0);
        stream.read_exact(&mut wire[head_end..]).await.ok()?;
        let mut payload = wire[head_end..].to_vec();
        if masked {
            let mask = [
                wire[length_end],
                wire[length_end + 1],
                wire[length_end + 2],
                wire[length_end + 3],
            ];
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
        Some(Self { first: wire[0], payload, wire })
    }

    /// Is it a whole binary message?
    pub fn is_binary(&self) -> bool {
        self.first == 0x82
    }
}

/// A whole binary message as a server sends it: without a mask.
pub fn from_server(payload: &[u8]) -> Vec<u8> {
    let mut wire = head(0x82, payload.len(), 0);
    wire.extend_from_slice(payload);
    wire
}

/// A whole binary message as a device sends it: masked (with zeros, which change nothing).
pub fn from_device(payload: &[u8]) -> Vec<u8> {
    frame_from_device(0x82, payload.len(), payload)
}

/// A frame that says `length` and carries `payload`, which may be shorter.
pub fn frame_from_device(first: u8, length: usize, payload: &[u8]) -> Vec<u8> {
    let mut wire = head(first, length, 0x80);
    wire.extend_from_slice(&[0; 4]);
    wire.extend_from_slice(payload);
    wire
}

fn head(first: u8, length: usize, mask: u8) -> Vec<u8> {
    let mut wire = vec![first];
    if let Ok(short) = u8::try_from(length)
        && short < 126
    {
        wire.push(mask | short);
    } else if let Ok(middle) = u16::try_from(length) {
        wire.push(mask | 0x7e);
        wire.extend_from_slice(&middle.to_be_bytes());
    } else {
        wire.push(mask | 0x7f);
        wire.extend_from_slice(&(length as u64).to_be_bytes());
    }
    wire
}

/// Reads an HTTP head up to and with the empty line.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if head.len() > 16 * 1024 {
            return None;
        }
    }
    Some(head)
}
