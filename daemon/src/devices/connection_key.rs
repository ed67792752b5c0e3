//! What devices know the appliance by: its static key and the generic device key.
//!
//! Both are made at the first start and kept sealed. The static key is the appliance's identity: it
//! is part of every backup and outlives every certificate, name and address.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use aerie_protocol::address::Address;
use aerie_protocol::key::{DeviceKey, KeyError, KeySecret};
use aerie_protocol::noise::{NoiseError, StaticKey};
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::accounts::Actor;
use crate::audit::Deed;
use crate::seal::{Seal, SealError};
use crate::store::tables::SealedBytes;
use crate::store::{Store, StoreError, Writer, tables};

/// The name that the static key is sealed and stored under.
const STATIC_KEY: &str = "appliance-static-key";
/// The same for the generic device key.
const DEVICE_KEY: &str = "generic-device-key";
/// The setting that holds the host name of the set-up.
const HOST: &str = "host";

/// Why the appliance's keys cannot be read, or no device key can be written.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The store.
    #[error("the appliance's keys could not be read or stored")]
    Store(#[from] StoreError),
    /// The machine key is another one.
    #[error("the appliance's keys could not be sealed or opened")]
    Seal(#[from] SealError),
    /// What was opened is not a static key.
    #[error("the appliance's static key cannot be used; restore the last backup")]
    StaticKey(#[from] NoiseError),
    /// What was opened is not a device key's secret, or no new one could be made.
    #[error("the generic device key cannot be used")]
    DeviceKey(#[from] KeyError),
    /// Of the wrong length.
    #[error("the stored secret \"{0}\" is damaged; restore the last backup")]
    Damaged(&'static str),
    /// There is no host name to write into a device key.
    #[error("the appliance is not set up yet; finish the set-up, which asks for its host name")]
    NotSetUp,
}

/// What devices find where the appliance is.
#[derive(Clone, Debug)]
struct Door {
    port: u16,
    untrusted: bool,
    /// What devices dial instead of the host of the set-up and the port above: something in front
    /// of the appliance, or a name of its own for devices.
    public_host: Option<String>,
    public_port: Option<u16>,
}

/// The appliance's keys. Cheap to clone.
#[derive(Clone)]
pub struct ConnectionKeys {
    store: Store,
    seal: Seal,
    static_key: StaticKey,
    generic: Arc<RwLock<Arc<KeySecret>>>,
    host: watch::Sender<Option<String>>,
    door: Arc<RwLock<Door>>,
}

impl ConnectionKeys {
    /// Reads the keys, and makes them at the first start: durable before anybody sees them.
    pub async fn load(store: &Store, seal: &Seal) -> Result<Self, KeysError> {
        let read = store.read(|reader| {
            Ok((
                reader.get(tables::SECRETS, STATIC_KEY)?,
                reader.get(tables::SECRETS, DEVICE_KEY)?,
                reader.get(tables::SETTINGS, HOST)?,
            ))
        });
        let (static_key, generic, host): (_, _, Option<String>) = read.await?;
        let static_key = if let Some(sealed) = static_key {
            StaticKey::from_bytes(&*open(seal, STATIC_KEY, &sealed)?)?
        } else {
            let made = StaticKey::generate()?;
            keep(store, seal, STATIC_KEY, made.secret()).await?;
            made
        };
        let generic = if let Some(sealed) = generic {
            KeySecret::from_bytes(&*open(seal, DEVICE_KEY, &sealed)?)?
        } else {
            let made = KeySecret::generate()?;
            keep(store, seal, DEVICE_KEY, made.to_bytes().as_slice()).await?;
            made
        };
        let host = host.and_then(|text| serde_json::from_str(&text).ok());
        let door = Door { port: 443, untrusted: true, public_host: None, public_port: None };
        Ok(Self {
            store: store.clone(),
            seal: seal.clone(),
            static_key,
            generic: Arc::new(RwLock::new(Arc::new(generic))),
            host: watch::Sender::new(host),
            door: Arc::new(RwLock::new(door)),
        })
    }

    /// The appliance's identity.
    pub fn static_key(&self) -> &StaticKey {
        &self.static_key
    }

    /// The secret of the generic device key that is written now.
    pub fn current(&self) -> Arc<KeySecret> {
        Arc::clone(&self.generic.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The secret of a live device key, by the generation that a first contact names.
    pub fn secret(&self, generation: [u8; 4]) -> Option<Arc<KeySecret>> {
        let current = self.current();
        (current.generation() == generation).then_some(current)
    }

    /// Makes another secret for the generic device key. The one before lets nobody in from then on;
    /// enrolled devices need none. Durable when it returns.
    pub async fn rotate(&self, by: Actor, at: Timestamp) -> Result<(), KeysError> {
        let before = self.current().generation();
        let made = loop {
            let made = KeySecret::generate()?;
            if made.generation() != before {
                break Arc::new(made);
            }
        };
        let sealed = SealedBytes(self.seal.seal(DEVICE_KEY, made.to_bytes().as_slice())?);
        let generic = Arc::clone(&self.generic);
        let write = move |writer: &Writer<'_>| {
            writer.put(tables::SECRETS, DEVICE_KEY, &sealed)?;
            Deed::new(&by.account.to_string(), "device-key-rotated", "generic device key")
                .sent_from(by.address)
                .write(writer, at)?;
            // In the transaction: of two at the same moment, both places keep the same one.
            *generic.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&made);
            Ok(())
        };
        Ok(self.store.write(write).await?)
    }

    /// Says at which port devices are served. Until then 443.
    pub fn serve_at(&self, port: u16) {
        self.change_door().port = port;
    }

    /// Says whether device keys have to allow a certificate that nobody vouches for. Until then
    /// they do.
    pub fn set_untrusted(&self, untrusted: bool) {
        self.change_door().untrusted = untrusted;
    }

    /// Refuses a host that no device key can hold.
    pub fn check_host(&self, host: &str) -> Result<(), KeysError> {
        self.check(host.to_owned(), self.door().port)
    }

    /// Says by which host (IPv6 without brackets) and port devices come, where that is not the host
    /// of the set-up and the port that is served. What no device key can hold is refused, and
    /// nothing changed. Not kept over a restart.
    pub fn set_public(&self, host: Option<String>, port: Option<u16>) -> Result<(), KeysError> {
        let shown = self.door();
        let any = || "localhost".to_owned();
        self.check(host.clone().unwrap_or_else(any), port.unwrap_or(shown.port))?;
        let mut door = self.change_door();
        door.public_host = host;
        door.public_port = port;
        Ok(())
    }

    /// The address in the device key that is written now; `None` before the set-up.
    pub fn address(&self) -> Option<Address> {
        let door = self.door();
        let host = door.public_host.or_else(|| self.host())?;
        Address::new(&host, door.public_port.unwrap_or(door.port).into()).ok()
    }

    /// The host name or address under which devices find the appliance; `None` before the set-up.
    pub fn host(&self) -> Option<String> {
        self.host.borrow().clone()
    }

    /// The same, and every change of it.
    pub fn hosts(&self) -> watch::Receiver<Option<String>> {
        self.host.subscribe()
    }

    /// Remembers the host name or address (IPv6 without brackets) under which devices find the
    /// appliance. Durable when it returns; what no device key can hold is refused.
    pub async fn set_host(&self, host: String) -> Result<(), KeysError> {
        self.check_host(&host)?;
        let written = host.clone();
        self.store.write(move |writer| Self::put_host(writer, &written)).await?;
        self.host.send_replace(Some(host));
        Ok(())
    }

    /// Writes the host that [`ConnectionKeys::load`] will read. It has to be a host name or an
    /// address.
    pub fn put_host(writer: &Writer<'_>, host: &str) -> Result<(), StoreError> {
        writer.put(tables::SETTINGS, HOST, &serde_json::Value::from(host).to_string())
    }

    /// The generic device key: the string that an owner pastes into devices. It always carries the
    /// pin of the appliance's static key.
    pub fn device_key(&self) -> Result<Zeroizing<String>, KeysError> {
        Ok(self.named_device_key()?.0)
    }

    /// The same, with the generation by which it can be named.
    pub fn named_device_key(&self) -> Result<(Zeroizing<String>, [u8; 4]), KeysError> {
        let host = self.host().ok_or(KeysError::NotSetUp)?;
        let door = self.door();
        let port = door.public_port.unwrap_or(door.port);
        let host = door.public_host.unwrap_or(host);
        let current = self.current();
        let key = self.written_for(&current, host, port, door.untrusted);
        Ok((key, current.generation()))
    }

    /// Whether a device key can hold this host and port.
    fn check(&self, host: String, port: u16) -> Result<(), KeysError> {
        DeviceKey::parse(&self.written_for(&self.current(), host, port, true))?;
        Ok(())
    }

    fn written_for(
        &self,
        secret: &KeySecret,
        host: String,
        port: u16,
        untrusted: bool,
    ) -> Zeroizing<String> {
        let key = DeviceKey {
            host,
            port,
            secret: secret.clone(),
            allow_untrusted: untrusted,
            pin: Some(self.static_key.public()),
        };
        key.write()
    }

    fn door(&self) -> Door {
        self.door.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_door(&self) -> RwLockWriteGuard<'_, Door> {
        self.door.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open<const N: usize>(
    seal: &Seal,
    name: &'static str,
    sealed: &SealedBytes,
) -> Result<Zeroizing<[u8; N]>, KeysError> {
    let plain = seal.open_secret(name, &sealed.0)?;
    let mut bytes = Zeroizing::new([0; N]);
    if plain.len() != N {
        return Err(KeysError::Damaged(name));
    }
    bytes.copy_from_slice(&plain);
    Ok(bytes)
}

async fn keep(
    store: &Store,
    seal: &Seal,
    name: &'static str,
    secret: &[u8],
) -> Result<(), KeysError> {
    let sealed = SealedBytes(seal.seal(name, secret)?);
    store.write(move |writer| writer.put(tables::SECRETS, name, &sealed)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Appliance {
        store: Store,
        data: tempfile::TempDir,
    }

    impl Appliance {
        fn new() -> Self {
            Self { store: Store::memory().unwrap(), data: tempfile::tempdir().unwrap() }
        }

        async fn keys(&self) -> ConnectionKeys {
            let seal = Seal::open(self.data.path()).unwrap();
            ConnectionKeys::load(&self.store, &seal).await.unwrap()
        }
    }

    #[tokio::test]
    async fn d1_the_device_key_names_host_port_secret_and_pin_and_stays_over_a_restart() {
        let appliance = Appliance::new();
        let keys = appliance.keys().await;
        assert!(matches!(keys.device_key(), Err(KeysError::NotSetUp)));
        keys.set_host("aerie.example".to_owned()).await.unwrap();
        keys.serve_at(8443);
        keys.set_untrusted(true);
        let text = keys.device_key().unwrap();
        assert!(text.starts_with("wss://aerie.example:8443+"), "wrong address");
        let key = DeviceKey::parse(&text).unwrap();
        assert!(key.allow_untrusted);
        assert_eq!(key.pin, Some(keys.static_key().public()));
        assert_ne!(key.secret.generation(), [0; 4]);
        assert_eq!(keys.secret(key.secret.generation()).as_deref(), Some(&key.secret));
        assert!(keys.secret([0; 4]).is_none());

        let again = appliance.keys().await;
        again.serve_at(443);
        again.set_untrusted(false);
        let key_again = DeviceKey::parse(&again.device_key().unwrap()).unwrap();
        assert_eq!(key_again.secret, key.secret);
        assert_eq!(key_again.pin, key.pin);
        assert_eq!((key_again.port, key_again.allow_untrusted), (443, false));
    }

    #[tokio::test]
    async fn l4_a_changed_device_key_lets_the_old_one_in_no_more_and_stays_over_a_restart() {
        let appliance = Appliance::new();
        let keys = appliance.keys().await;
        keys.set_host("aerie.example".to_owned()).await.unwrap();
        let (old, pin) = (keys.current(), keys.static_key().public());
        let reader = keys.clone();
        let by = Actor { account: uuid::Uuid::nil(), address: [198, 51, 100, 7].into() };
        keys.rotate(by, Timestamp::UNIX_EPOCH).await.unwrap();
        assert!(reader.secret(old.generation()).is_none());
        let new = reader.current();
        assert_ne!(new.psk(), old.psk());
        assert_eq!(reader.secret(new.generation()).as_deref(), Some(&*new));
        let written = DeviceKey::parse(&reader.device_key().unwrap()).unwrap();
        assert_eq!((&written.secret, written.pin), (&*new, Some(pin)));
        let again = appliance.keys().await;
        assert_eq!(again.current(), new);
        assert_eq!(again.static_key().public(), pin, "enrolled devices notice nothing");
        let audit = appliance.store.read(|reader| reader.all(tables::AUDIT)).await.unwrap();
        assert_eq!(audit[0].1.what, "device-key-rotated");
    }

    #[tokio::test]
    async fn of_two_changes_at_once_memory_and_store_keep_the_same() {
        let appliance = Appliance::new();
        let keys = appliance.keys().await;
        let by = Actor { account: uuid::Uuid::nil(), address: [198, 51, 100, 7].into() };
        let at = Timestamp::UNIX_EPOCH;
        let (one, other) = tokio::join!(keys.rotate(by, at), keys.rotate(by, at));
        one.and(other).unwrap();
        assert_eq!(appliance.keys().await.current(), keys.current());
    }

    #[tokio::test]
    async fn an_ipv6_host_can_be_read_back_and_a_host_that_is_none_is_refused() {
        let keys = Appliance::new().keys().await;
        keys.set_host("2001:db8::7".to_owned()).await.unwrap();
        let key = DeviceKey::parse(&keys.device_key().unwrap()).unwrap();
        assert_eq!(key.host, "2001:db8::7");
        for bad in ["", "a b", "aerie.example:443", "x+y", "-"] {
            assert!(keys.set_host(bad.to_owned()).await.is_err(), "{bad:?}");
        }
        assert_eq!(keys.host().as_deref(), Some("2001:db8::7"));
    }

    #[tokio::test]
    async fn d1_the_device_key_shows_the_public_host_and_port_where_they_are_set() {
        let keys = Appliance::new().keys().await;
        let shown = |keys: &ConnectionKeys| {
            let key = DeviceKey::parse(&keys.device_key().unwrap()).unwrap();
            assert_eq!(keys.address(), key.address().ok());
            format!("{} {}", key.host, key.port)
        };
        assert_eq!(keys.address(), None);
        keys.set_host("aerie.example".to_owned()).await.unwrap();
        keys.serve_at(8443);
        keys.set_untrusted(true);
        assert_eq!(shown(&keys), "aerie.example 8443");
        keys.set_public(None, Some(443)).unwrap();
        assert_eq!(shown(&keys), "aerie.example 443");
        keys.set_public(Some("devices.example".to_owned()), Some(8444)).unwrap();
        keys.serve_at(9443);
        keys.set_untrusted(false);
        assert_eq!(shown(&keys), "devices.example 8444");
        assert_eq!(keys.host().as_deref(), Some("aerie.example"), "the GUI's stays");
        for (host, port) in [(Some("a b"), Some(443)), (Some(""), None), (None, Some(0))] {
            keys.set_public(host.map(str::to_owned), port).unwrap_err();
        }
        assert_eq!(shown(&keys), "devices.example 8444");
        // A bad host of the set-up is told as before.
        keys.set_host("a b".to_owned()).await.unwrap_err();
        keys.set_public(None, None).unwrap();
        assert_eq!(shown(&keys), "aerie.example 9443");
    }

    #[tokio::test]
    async fn a_store_without_its_machine_key_is_told_and_never_given_new_keys() {
        let appliance = Appliance::new();
        let before = appliance.keys().await.static_key().public();
        let stranger = tempfile::tempdir().unwrap();
        let seal = Seal::open(stranger.path()).unwrap();
        let refused = ConnectionKeys::load(&appliance.store, &seal).await;
        assert!(matches!(refused, Err(KeysError::Seal(SealError::WrongKey(_)))));
        assert_eq!(appliance.keys().await.static_key().public(), before);
    }

    #[tokio::test]
    async fn no_secret_stands_in_the_store_in_clear() {
        let appliance = Appliance::new();
        let keys = appliance.keys().await;
        let rows = appliance.store.read(|reader| reader.all(tables::SECRETS)).await.unwrap();
        assert_eq!(rows.len(), 2);
        for (_, SealedBytes(sealed)) in rows {
            for secret in [keys.static_key().secret().as_slice(), keys.current().psk()] {
                assert!(!sealed.windows(32).any(|window| window == secret));
            }
        }
    }
}
