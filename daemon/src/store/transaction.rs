//! Reading and writing tables within a transaction.

use redb::{ReadableTable, ReadableTableMetadata, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::tables::{Table, TableKey};

type Opened = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;
type Definition<'name> = TableDefinition<'name, &'static [u8], &'static [u8]>;

/// Reads tables.
pub struct Reader {
    pub(super) transaction: redb::ReadTransaction,
}

impl Reader {
    fn open<K: ?Sized, R>(&self, table: Table<K, R>) -> Result<Option<Opened>, StoreError> {
        match self.transaction.open_table(Definition::new(table.name)) {
            Ok(opened) => Ok(Some(opened)),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// One record.
    pub fn get<K, R>(&self, table: Table<K, R>, key: &K) -> Result<Option<R>, StoreError>
    where
        K: TableKey + ?Sized,
        R: DeserializeOwned,
    {
        let Some(opened) = self.open(table)? else { return Ok(None) };
        let found = opened.get(key.to_key().as_slice())?;
        found.map(|value| decode(table.name, value.value())).transpose()
    }

    /// All records, in the order of their keys.
    pub fn all<K, R>(&self, table: Table<K, R>) -> Result<Vec<(K::Owned, R)>, StoreError>
    where
        K: TableKey + ?Sized,
        R: DeserializeOwned,
    {
        let Some(opened) = self.open(table)? else { return Ok(Vec::new()) };
        opened.iter()?.map(|entry| pair::<K, R>(table.name, &entry?)).collect()
    }

    /// The records whose keys begin with `prefix`, in the order of their keys.
    pub fn below<K, R>(
        &self,
        table: Table<K, R>,
        prefix: &[u8],
    ) -> Result<Vec<(K::Owned, R)>, StoreError>
    where
        K: TableKey + ?Sized,
        R: DeserializeOwned,
    {
        let Some(opened) = self.open(table)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in opened.range(prefix..)? {
            let entry = entry?;
            if !entry.0.value().starts_with(prefix) {
                break;
            }
            found.push(pair::<K, R>(table.name, &entry)?);
        }
        Ok(found)
    }

    /// Shows all records, one at a time, in the order of their keys.
    pub fn each<K, R>(
        &self,
        table: Table<K, R>,
        mut visit: impl FnMut(K::Owned, R),
    ) -> Result<(), StoreError>
    where
        K: TableKey + ?Sized,
        R: DeserializeOwned,
    {
        let Some(opened) = self.open(table)? else { return Ok(()) };
        for entry in opened.iter()? {
            let (key, record) = pair::<K, R>(table.name, &entry?)?;
            visit(key, record);
        }
        Ok(())
    }
}

type Entry<'a> = (redb::AccessGuard<'a, &'static [u8]>, redb::AccessGuard<'a, &'static [u8]>);

fn pair<K, R>(table: &'static str, entry: &Entry<'_>) -> Result<(K::Owned, R), StoreError>
where
    K: TableKey + ?Sized,
    R: DeserializeOwned,
{
    let key = K::from_key(entry.0.value())
        .ok_or_else(|| StoreError::Record { table, problem: "a key of another kind".to_owned() })?;
    Ok((key, decode(table, entry.1.value())?))
}

/// Reads and writes tables.
pub struct Writer<'a> {
    pub(super) transaction: &'a redb::WriteTransaction,
}

impl Writer<'_> {
    /// One record.
    pub fn get<K, R>(&self, table: Table<K, R>, key: &K) -> Result<Option<R>, StoreError>
    where
        K: TableKey + ?Sized,
        R: DeserializeOwned,
    {
        let opened = self.transaction.open_table(Definition::new(table.name))?;
        let found = opened.get(key.to_key().as_slice())?;
        found.map(|value| decode(table.name, value.value())).transpose()
    }

    /// All records, in the order of their keys.
    pub fn all<K, R>(&self, table: Table<K, R>) -> Result<Vec<(K::Owned, R)>, StoreError>
    where
        K: TableKey + ?Sized,
        R: DeserializeOwned,
    {
        let opened = self.transaction.open_table(Definition::new(table.name))?;
        opened.iter()?.map(|entry| pair::<K, R>(table.name, &entry?)).collect()
    }

    /// The last key of a table.
    pub fn last_key<K, R>(&self, table: Table<K, R>) -> Result<Option<K::Owned>, StoreError>
    where
        K: TableKey + ?Sized,
    {
        let opened = self.transaction.open_table(Definition::new(table.name))?;
        Ok(opened.last()?.and_then(|(key, _)| K::from_key(key.value())))
    }

    /// How many records a table has.
    pub fn len<K: ?Sized, R>(&self, table: Table<K, R>) -> Result<u64, StoreError> {
        Ok(self.transaction.open_table(Definition::new(table.name))?.len()?)
    }

    /// Deletes the `count` records with the lowest keys.
    pub fn delete_first<K: ?Sized, R>(
        &self,
        table: Table<K, R>,
        count: u64,
    ) -> Result<(), StoreError> {
        let mut opened = self.transaction.open_table(Definition::new(table.name))?;
        for _ in 0..count {
            if opened.pop_first()?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Writes one record.
    pub fn put<K, R>(&self, table: Table<K, R>, key: &K, record: &R) -> Result<(), StoreError>
    where
        K: TableKey + ?Sized,
        R: Serialize,
    {
        let value = rmp_serde::to_vec_named(record).map_err(|error| StoreError::Record {
            table: table.name,
            problem: error.to_string(),
        })?;
        let mut opened = self.transaction.open_table(Definition::new(table.name))?;
        opened.insert(key.to_key().as_slice(), value.as_slice())?;
        Ok(())
    }

    /// Deletes one record. `false` when there was none.
    pub fn delete<K, R>(&self, table: Table<K, R>, key: &K) -> Result<bool, StoreError>
    where
        K: TableKey + ?Sized,
    {
        let mut opened = self.transaction.open_table(Definition::new(table.name))?;
        let removed = opened.remove(key.to_key().as_slice())?.is_some();
        Ok(removed)
    }
}

fn decode<R: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<R, StoreError> {
    rmp_serde::from_slice(bytes)
        .map_err(|error| StoreError::Record { table, problem: error.to_string() })
}
