//! What the device tells about itself: identity and status.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use aerie_protocol::address::Address;
use aerie_protocol::inform::{
    self, FromDevice, HeldPassword, Hello, Interface, MAX_ADDRESS_BYTES, MAX_ADDRESSES,
    MAX_INTERFACES, MAX_NAME_BYTES, Status, encode_from_device, from_device,
};
use aerie_protocol::text::DeviceText;

use super::{Session, Standing, is_pinned};
use crate::{
    connect::Dial,
    host::{AgentEvent, Host},
    link::LinkError,
};

impl<H: Host, D: Dial> Session<'_, H, D> {
    /// Says who the device is, unless the appliance knows that already.
    pub(super) async fn tell_identity(&mut self) -> Result<(), LinkError> {
        // Only what stands in the state: the appliance closes an old address when nobody needs it.
        let known = self.state.known().addresses().contains(&self.address);
        let hello = self.identity(known.then(|| self.address.clone())).await;
        let hello = from_device::Body::Hello(hello);
        let digest = digest(&hello);
        if digest != self.told {
            self.send(hello).await?;
            self.told = digest;
        }
        Ok(())
    }

    /// Who the device is, and by which address it came.
    pub(super) async fn identity(&mut self, dialled: Option<Address>) -> Hello {
        let mut hello = self.host.identity().await;
        hello.pinned = is_pinned(self.state, self.link.appliance());
        hello.dialled = dialled.as_ref().map(inform::Address::from);
        hello.passwords = self.passwords().await;
        trim_hello(&mut hello);
        hello
    }

    /// For its own appliance alone. What is sealed is told when it is asked for.
    async fn passwords(&mut self) -> Vec<HeldPassword> {
        if self.standing == Standing::Quarantined {
            return Vec::new();
        }
        match self.host.passwords().await {
            Ok(held) => {
                held.into_iter().map(|held| HeldPassword { sealed: Vec::new(), ..held }).collect()
            }
            Err(error) => {
                tracing::debug!(%error, "nothing to tell about passwords");
                Vec::new()
            }
        }
    }

    /// Says how the device is.
    pub(super) async fn report(&mut self) -> Result<(), LinkError> {
        let mut status = self.host.status().await;
        trim_status(&mut status);
        let bytes = self.send(from_device::Body::Status(status)).await?;
        self.host.notice(AgentEvent::Reported { bytes });
        Ok(())
    }
}

/// Never 0, which stands for "nothing told yet".
fn digest(body: &from_device::Body) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut bytes = Vec::new();
    match encode_from_device(&FromDevice::from(body.clone()), &mut bytes) {
        Ok(()) => bytes.hash(&mut hasher),
        Err(error) => error.to_string().hash(&mut hasher),
    }
    hasher.finish().max(1)
}

/// A host may know more than a message carries; what does not fit is left out, never the message.
fn trim_hello(hello: &mut Hello) {
    for text in [
        &mut hello.hostname,
        &mut hello.model,
        &mut hello.vendor,
        &mut hello.firmware_version,
        &mut hello.agent_version,
        &mut hello.serial_number,
        &mut hello.architecture,
    ] {
        trim_text(text);
    }
    trim_mac(&mut hello.mac);
    trim_addresses(&mut hello.addresses);
}

fn trim_status(status: &mut Status) {
    status.interfaces.truncate(MAX_INTERFACES);
    status.interfaces.iter_mut().for_each(trim_interface);
}

fn trim_interface(interface: &mut Interface) {
    trim_text(&mut interface.name);
    trim_text(&mut interface.kind);
    trim_mac(&mut interface.mac);
    trim_addresses(&mut interface.addresses);
}

fn trim_text(text: &mut String) {
    if text.len() > MAX_NAME_BYTES {
        *text = DeviceText::clean(text, MAX_NAME_BYTES).to_string();
    }
}

fn trim_mac(mac: &mut Vec<u8>) {
    if mac.len() != 6 {
        mac.clear();
    }
}

fn trim_addresses(addresses: &mut Vec<String>) {
    addresses.retain(|address| address.len() <= MAX_ADDRESS_BYTES);
    addresses.truncate(MAX_ADDRESSES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_host_says_fits_into_a_message() {
        let mut hello = Hello {
            mac: vec![1; 20],
            hostname: "h\u{e9}".repeat(500),
            addresses: vec!["a".repeat(100), "192.0.2.1/24".to_owned()],
            ..Hello::default()
        };
        hello.addresses.extend((0..100).map(|last| format!("192.0.2.{last}/24")));
        trim_hello(&mut hello);
        let mut bytes = Vec::new();
        encode_from_device(&from_device::Body::Hello(hello).into(), &mut bytes).unwrap();

        let interface = Interface {
            name: "x".repeat(1000),
            mac: vec![1; 32],
            addresses: vec!["2001:db8::1/64".to_owned(); 8],
            ..Interface::default()
        };
        let mut status = Status { interfaces: vec![interface; 500], ..Status::default() };
        trim_status(&mut status);
        encode_from_device(&from_device::Body::Status(status).into(), &mut bytes).unwrap();
    }

    #[test]
    fn an_identity_is_told_again_only_when_it_differs() {
        let one = from_device::Body::Hello(Hello::default());
        let other = Hello { hostname: "other".to_owned(), ..Hello::default() };
        assert_eq!(digest(&one), digest(&one.clone()));
        assert_ne!(digest(&one), digest(&from_device::Body::Hello(other)));
    }
}
