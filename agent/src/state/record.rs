//! How the state stands in its file: JSON, named fields, a format number.

use aerie_protocol::{
    address::Address,
    key::DeviceKey,
    noise::{PublicKey, StaticKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Enrolment, Known, Places};

const FORMAT: u32 = 1;

/// Why a file's content is not a state.
#[derive(Debug, Error)]
pub(super) enum RecordError {
    #[error("not the JSON it should be")]
    Json(#[source] serde_json::Error),
    #[error("its format is {0}, and this agent reads {FORMAT}")]
    Format(u32),
    #[error("the field `{0}` is not what the agent writes there")]
    Field(&'static str),
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    static_key: String,
    device_key: Option<String>,
    enrolment: Option<EnrolmentRecord>,
    /// Where the appliance said that it is, once it was found there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<AddressRecord>,
    /// Where it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former_address: Option<AddressRecord>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct AddressRecord {
    host: String,
    port: u16,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct EnrolmentRecord {
    appliance: String,
    device_id: String,
    name: String,
}

/// Writes what a device knows.
pub(super) fn encode(known: &Known) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let record = Record {
        format: FORMAT,
        static_key: URL_SAFE_NO_PAD.encode(known.identity.secret()),
        device_key: known.key.as_ref().map(|key| (*key.write()).clone()),
        enrolment: known.enrolment.as_ref().map(|enrolment| EnrolmentRecord {
            appliance: enrolment.appliance.to_string(),
            device_id: URL_SAFE_NO_PAD.encode(enrolment.device_id),
            name: enrolment.name.clone(),
        }),
        address: known.places.announced.as_ref().map(encode_address),
        former_address: known.places.former.as_ref().map(encode_address),
    };
    // Room for everything at once: a vector that grows would leave copies of the secrets.
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    serde_json::to_writer_pretty(&mut *bytes, &record)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Known, RecordError> {
    /// Read first, so that a newer agent's file is called newer, and not broken.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let Version { format } = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
    if format != FORMAT {
        return Err(RecordError::Format(format));
    }
    let record: Record = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
    let secret = Zeroizing::new(bytes_of(&record.static_key, "static_key")?);
    let identity = StaticKey::from_bytes(&secret).map_err(|_| RecordError::Field("static_key"))?;
    let key = record.device_key.as_deref().map(DeviceKey::parse).transpose();
    let enrolment = record.enrolment.as_ref().map(decode_enrolment).transpose()?;
    let places = Places {
        announced: decode_address(record.address.as_ref(), "address")?,
        former: decode_address(record.former_address.as_ref(), "former_address")?,
    };
    let key = key.map_err(|_| RecordError::Field("device_key"))?;
    Ok(Known { identity, key, enrolment, places })
}

fn encode_address(address: &Address) -> AddressRecord {
    AddressRecord { host: address.host().to_owned(), port: address.port() }
}

fn decode_address(
    record: Option<&AddressRecord>,
    field: &'static str,
) -> Result<Option<Address>, RecordError> {
    let read = |record: &AddressRecord| Address::new(&record.host, record.port.into());
    record.map(read).transpose().map_err(|_| RecordError::Field(field))
}

fn decode_enrolment(record: &EnrolmentRecord) -> Result<Enrolment, RecordError> {
    let appliance: PublicKey =
        record.appliance.parse().map_err(|_| RecordError::Field("appliance"))?;
    let device_id = bytes_of(&record.device_id, "device_id")?;
    Ok(Enrolment { appliance, device_id, name: record.name.clone() })
}

fn bytes_of<const LENGTH: usize>(
    text: &str,
    field: &'static str,
) -> Result<[u8; LENGTH], RecordError> {
    let mut bytes = [0; LENGTH];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(length) if length == LENGTH => Ok(bytes),
        Ok(_) | Err(_) => Err(RecordError::Field(field)),
    }
}
