//! How large the parts of a message may be.

use super::wire::{Fields, Value};
use super::{
    Address, FromAppliance, FromDevice, HeldPassword, Hello, Interface, MAX_ACCOUNT_BYTES,
    MAX_ACCOUNTS, MAX_ADDRESS_BYTES, MAX_ADDRESSES, MAX_DETAIL_BYTES, MAX_INTERFACES,
    MAX_NAME_BYTES, MAX_PASSWORD_BYTES, MAX_SEALED_BYTES, MessageError, Refusal, Reply, Request,
    Status, from_appliance, from_device, request,
};
use crate::address;

const MAC_BYTES: usize = 6;
const UUID_BYTES: usize = 16;

// Field numbers of inform.proto; `hello_and_status_are_counted_before_they_are_decoded` holds them
// to it.
const BODY_HELLO: u32 = 1;
const BODY_STATUS: u32 = 2;
const BODY_REPLY: u32 = 4;
const HELLO_ADDRESSES: u32 = 9;
const HELLO_PASSWORDS: u32 = 14;
const REPLY_PASSWORDS: u32 = 4;
const PASSWORDS_HELD: u32 = 1;
const STATUS_INTERFACES: u32 = 9;
const INTERFACE_ADDRESSES: u32 = 5;

/// Counts the lists of a message that is still bytes.
pub(super) fn scan_from_device(number: u32, body: &[u8]) -> Result<(), MessageError> {
    match number {
        BODY_HELLO => {
            count(body, HELLO_ADDRESSES, MAX_ADDRESSES, "hello.addresses", |_| Ok(()))?;
            count(body, HELLO_PASSWORDS, MAX_ACCOUNTS, "hello.passwords", |_| Ok(()))
        }
        // Twice would be merged into one, and be twice as long.
        BODY_REPLY => count(body, REPLY_PASSWORDS, 1, "reply.passwords", |passwords| {
            count(passwords, PASSWORDS_HELD, MAX_ACCOUNTS, "passwords.held", |_| Ok(()))
        }),
        BODY_STATUS => {
            count(body, STATUS_INTERFACES, MAX_INTERFACES, "status.interfaces", |interface| {
                let field = "interface.addresses";
                count(interface, INTERFACE_ADDRESSES, MAX_ADDRESSES, field, |_| Ok(()))
            })
        }
        _ => Ok(()),
    }
}

fn count(
    message: &[u8],
    number: u32,
    limit: usize,
    field: &'static str,
    mut each: impl FnMut(&[u8]) -> Result<(), MessageError>,
) -> Result<(), MessageError> {
    let mut found = 0;
    for entry in Fields(message) {
        let (entry_number, value) = entry?;
        if entry_number != number {
            continue;
        }
        found += 1;
        if found > limit {
            return Err(MessageError::TooMany { field, limit });
        }
        // A value of another type is prost's to refuse.
        if let Value::Bytes(bytes) = value {
            each(bytes)?;
        }
    }
    Ok(())
}

/// `number` is that of the body on the wire, for the case that it was unknown.
pub(super) fn check_from_device(message: &FromDevice, number: u32) -> Result<(), MessageError> {
    use from_device::Body;
    match message.body.as_ref().ok_or_else(|| unknown(number))? {
        Body::Hello(hello) => check_hello(hello),
        Body::Status(status) => check_status(status),
        Body::Reply(reply) => check_reply(reply),
        Body::TerminalClosed(closed) => closed.refusal.as_ref().map_or(Ok(()), check_refusal),
        Body::KeepAlive(_)
        | Body::TerminalOpened(_)
        | Body::TerminalData(_)
        | Body::TerminalCredit(_)
        | Body::Goodbye(_) => Ok(()),
    }
}

/// `number` is that of the body on the wire, for the case that it was unknown.
pub(super) fn check_from_appliance(
    message: &FromAppliance,
    number: u32,
) -> Result<(), MessageError> {
    use from_appliance::Body;
    match message.body.as_ref().ok_or_else(|| unknown(number))? {
        Body::Enrolled(enrolled) => {
            fixed("enrolled.device_id", &enrolled.device_id, UUID_BYTES)?;
            text("enrolled.name", &enrolled.name, MAX_NAME_BYTES)
        }
        Body::Request(request) => check_request(request),
        Body::Refusal(refusal) => check_refusal(refusal),
        Body::Address(address) => check_address("address", address),
        Body::Waiting(_)
        | Body::Forget(_)
        | Body::KeepAlive(_)
        | Body::Reporting(_)
        | Body::TerminalOpen(_)
        | Body::TerminalData(_)
        | Body::TerminalCredit(_)
        | Body::TerminalResize(_)
        | Body::TerminalClose(_)
        | Body::Goodbye(_) => Ok(()),
    }
}

fn unknown(number: u32) -> MessageError {
    if number == 0 { MessageError::Empty } else { MessageError::Unknown { number } }
}

fn check_hello(hello: &Hello) -> Result<(), MessageError> {
    mac("hello.mac", &hello.mac)?;
    for (field, value) in [
        ("hello.hostname", &hello.hostname),
        ("hello.model", &hello.model),
        ("hello.vendor", &hello.vendor),
        ("hello.firmware_version", &hello.firmware_version),
        ("hello.agent_version", &hello.agent_version),
        ("hello.serial_number", &hello.serial_number),
        ("hello.architecture", &hello.architecture),
    ] {
        text(field, value, MAX_NAME_BYTES)?;
    }
    addresses("hello.addresses", &hello.addresses)?;
    check_held("hello.passwords", &hello.passwords)?;
    hello.dialled.as_ref().map_or(Ok(()), |dialled| check_address("hello.dialled", dialled))
}

/// As strict as for the host and port of a device key.
fn check_address(field: &'static str, address: &Address) -> Result<(), MessageError> {
    match address::Address::try_from(address) {
        Ok(_) => Ok(()),
        Err(_) => Err(MessageError::NoAddress { field }),
    }
}

fn check_status(status: &Status) -> Result<(), MessageError> {
    if status.interfaces.len() > MAX_INTERFACES {
        let field = "status.interfaces";
        return Err(MessageError::TooMany { field, limit: MAX_INTERFACES });
    }
    status.interfaces.iter().try_for_each(check_interface)
}

fn check_interface(interface: &Interface) -> Result<(), MessageError> {
    mac("interface.mac", &interface.mac)?;
    text("interface.name", &interface.name, MAX_NAME_BYTES)?;
    text("interface.kind", &interface.kind, MAX_NAME_BYTES)?;
    addresses("interface.addresses", &interface.addresses)
}

fn check_reply(reply: &Reply) -> Result<(), MessageError> {
    use super::reply::Outcome;
    match reply.outcome.as_ref().ok_or(MessageError::Empty)? {
        Outcome::Done(_) => Ok(()),
        Outcome::Refusal(refusal) => check_refusal(refusal),
        Outcome::Passwords(passwords) => check_held("passwords.held", &passwords.held),
    }
}

fn check_request(request: &Request) -> Result<(), MessageError> {
    let request_id = request.request_id;
    match request.verb.as_ref().ok_or(MessageError::UnknownVerb { request_id })? {
        request::Verb::Rename(rename) => text("rename.name", &rename.name, MAX_NAME_BYTES),
        request::Verb::SetPassword(set) => {
            text("set_password.account", &set.account, MAX_ACCOUNT_BYTES)?;
            fixed("set_password.credential_id", &set.credential_id, UUID_BYTES)?;
            within("set_password.password", &set.password, MAX_PASSWORD_BYTES)?;
            within("set_password.sealed", &set.sealed, MAX_SEALED_BYTES)
        }
        request::Verb::TryPassword(tried) => {
            text("try_password.account", &tried.account, MAX_ACCOUNT_BYTES)?;
            within("try_password.password", &tried.password, MAX_PASSWORD_BYTES)
        }
        request::Verb::Restart(_)
        | request::Verb::Locate(_)
        | request::Verb::ReportNow(_)
        | request::Verb::HeldPasswords(_) => Ok(()),
    }
}

fn check_held(field: &'static str, held: &[HeldPassword]) -> Result<(), MessageError> {
    if held.len() > MAX_ACCOUNTS {
        return Err(MessageError::TooMany { field, limit: MAX_ACCOUNTS });
    }
    held.iter().try_for_each(|held| {
        text("held.account", &held.account, MAX_ACCOUNT_BYTES)?;
        if !held.credential_id.is_empty() {
            fixed("held.credential_id", &held.credential_id, UUID_BYTES)?;
        }
        within("held.sealed", &held.sealed, MAX_SEALED_BYTES)
    })
}

fn check_refusal(refusal: &Refusal) -> Result<(), MessageError> {
    text("refusal.detail", &refusal.detail, MAX_DETAIL_BYTES)
}

fn addresses(field: &'static str, list: &[String]) -> Result<(), MessageError> {
    if list.len() > MAX_ADDRESSES {
        return Err(MessageError::TooMany { field, limit: MAX_ADDRESSES });
    }
    list.iter().try_for_each(|address| text(field, address, MAX_ADDRESS_BYTES))
}

fn text(field: &'static str, value: &str, limit: usize) -> Result<(), MessageError> {
    if value.len() > limit { Err(MessageError::TooLong { field, limit }) } else { Ok(()) }
}

fn within(field: &'static str, value: &[u8], limit: usize) -> Result<(), MessageError> {
    if value.len() > limit { Err(MessageError::TooLong { field, limit }) } else { Ok(()) }
}

/// Tunnels and the like have no MAC address: then the field is empty.
fn mac(field: &'static str, value: &[u8]) -> Result<(), MessageError> {
    if value.is_empty() { Ok(()) } else { fixed(field, value, MAC_BYTES) }
}

fn fixed(field: &'static str, value: &[u8], expected: usize) -> Result<(), MessageError> {
    if value.len() == expected {
        Ok(())
    } else {
        Err(MessageError::WrongLength { field, expected })
    }
}
