//! Exporting all credentials into a CSV file, on the word of who has the master password.

use csv::Writer as CsvWriter;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::looking::named;
use super::opening::sealed;
use super::rows::{COLUMNS, defused};
use super::{Credential, CredentialError, Credentials};
use crate::audit::{Actor, note};
use crate::store::tables::CREDENTIALS;
use crate::store::{Reader, Writer};
use crate::vault::protocol::{AT_ONCE, Key, Sealed};
use crate::vault::{SecretText, VaultError};

/// Bytes of a row beside its texts: separators, quotes, ports, ids.
const ROW_BYTES: usize = 256;

impl Credentials {
    /// All credentials in the clear, as an import takes them. A credential without a secret that is
    /// known to hold comes with its newest candidate. `reason` is for the vault's log.
    pub async fn export(
        &self,
        by: Actor,
        key: Key,
        reason: String,
    ) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
        let found = self.inner.store.read(everything).await?;
        let (now, count) = (self.inner.clock.now(), found.len());
        // Told before anything is opened.
        let about = format!("{count} credentials");
        let write =
            move |writer: &Writer<'_>| note(writer, now, by, "credentials-exported", &about);
        let mut opened = Vec::with_capacity(count);
        let vault = &self.inner.vault;
        // Without any, the key is asked for all the same.
        let mut chunks = found.chunks(AT_ONCE);
        let mut chunk = chunks.next().unwrap_or_default();
        let mut told = Some(write);
        loop {
            let sealed: Vec<Sealed> = chunk.iter().map(|(_, sealed)| sealed.clone()).collect();
            let some = vault.export(again(&key), reason.clone(), sealed).await?;
            if let Some(write) = told.take() {
                self.inner.store.write(write).await?;
            }
            opened.extend(some);
            match chunks.next() {
                Some(next) => chunk = next,
                None => break,
            }
        }
        let credentials = found.into_iter().map(|(credential, _)| credential);
        rows(&credentials.zip(opened).collect::<Vec<_>>())
    }
}

/// The same key, for the next question.
fn again(key: &Key) -> Key {
    match key {
        Key::Words(words) => Key::Words(words.clone()),
        Key::File(file) => Key::File(file.clone()),
        Key::Share(share) => Key::Share(share.clone()),
    }
}

type Whole = Vec<(Credential, Sealed)>;

fn everything(reader: &Reader) -> Result<Whole, crate::store::StoreError> {
    let mut found = Vec::new();
    for (id, record) in reader.all(CREDENTIALS)? {
        let secret = record.current.as_ref().or(record.candidates.last());
        if let Some(secret) = secret {
            found.push((named(reader, id, &record)?, sealed(id, secret)));
        }
    }
    Ok(found)
}

fn rows(opened: &[(Credential, SecretText)]) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    // Large enough from the start: what grows leaves copies behind. Quotes may double a text.
    let length = |(one, secret): &(Credential, SecretText)| {
        let texts = [one.place(), &one.label, &one.username, &one.note, secret.expose()];
        texts.iter().map(|text| text.len() * 2).sum::<usize>() + ROW_BYTES
    };
    let capacity = ROW_BYTES + opened.iter().map(length).sum::<usize>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let mut writer = CsvWriter::from_writer(&mut *bytes);
    let mut put = |fields: [&str; 9]| writer.write_record(fields);
    let done = put(COLUMNS).and_then(|()| {
        opened.iter().try_for_each(|(one, secret)| {
            let port = |port: Option<u16>| port.map(|port| port.to_string()).unwrap_or_default();
            put([
                &one.device.as_ref().map(Uuid::to_string).unwrap_or_default(),
                &defused(one.device_name.as_deref().unwrap_or_default()),
                &defused(&one.label),
                &one.username,
                secret.expose(),
                if one.read_only { "yes" } else { "no" },
                &port(one.ssh_port),
                &port(one.https_port),
                &defused(&one.note),
            ])
        })
    });
    let done = done.map_err(std::io::Error::from).and_then(|()| writer.flush());
    drop(writer);
    done.map_err(VaultError::Gone)?;
    Ok(bytes)
}
